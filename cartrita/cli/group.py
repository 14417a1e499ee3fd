"""The list of commands, each loaded when it runs."""

import os
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from cartrita.cli.exits import Exit, exit_of, line_of
from cartrita.errors import CartritaError

COMMANDS = {
    "up": ("cartrita.cli.lifecycle:up", "Start an instance on this machine."),
    "down": ("cartrita.cli.lifecycle:down", "Let accepted tasks end, then end the instance."),
    "redeploy": ("cartrita.cli.redeploy:redeploy", "Replace the gateways one after another."),
    "run": ("cartrita.cli.run:run", "Run a task and print what became of it."),
    "batch": ("cartrita.cli.batch:batch", "Run the tasks of a file, one a line."),
    "tasks": ("cartrita.cli.tasks:app", "List tasks, look at them, watch, cancel and retry them."),
    "replay": ("cartrita.cli.replay:replay", "Tell a task's whole story from the journal."),
    "trace": ("cartrita.cli.waterfall:trace", "Draw what a task's time went into, and its money."),
    "quarantine": ("cartrita.cli.quarantine:app", "Decide about tasks that kill their workers."),
    "effects": ("cartrita.cli.effects:app", "See what tasks did outside and settle doubts."),
    "answers": ("cartrita.cli.answers:app", "Erase answers that are kept to be given again."),
    "approvals": ("cartrita.cli.approvals:app", "See which tools wait for a person, and decide."),
    "bridge": ("cartrita.cli.bridge:app", "Move from v2: compare, share out, go back."),
    "budgets": ("cartrita.cli.budgets:app", "See what may be spent, and set it."),
    "usage": ("cartrita.cli.usage:usage", "Add up what was charged."),
    "agents": ("cartrita.cli.agents:app", "List the agents and their task types."),
    "tree": ("cartrita.cli.tree:tree", "Show the live tree of actors."),
    "top": ("cartrita.cli.top:top", "Watch the live tree of actors."),
    "status": ("cartrita.cli.status:status", "Tell whether the instance runs and is healthy."),
    "doctor": ("cartrita.cli.doctor:doctor", "Check that this machine can run an instance."),
    "config": ("cartrita.cli.config:app", "Show the settings and where they come from."),
    "certs": ("cartrita.cli.certs:certs", "Make certificates for TLS between nodes."),
    "admin": ("cartrita.cli.admin:app", "Give commands to the tree, and see who gave which."),
    "chaos": ("cartrita.cli.chaos:app", "Break this machine's instance under load, and count."),
    "login": ("cartrita.cli.login:login", "Sign in, for the commands that follow."),
    "keys": ("cartrita.cli.keys:app", "Make, list and revoke API keys."),
    "logout": ("cartrita.cli.login:logout", "End the session that commands share."),
    "whoami": ("cartrita.cli.login:whoami", "Tell who commands are signed in as."),
    "completion": ("cartrita.cli.completion:completion", "Print the completion of a shell."),
    "version": ("cartrita.cli.version:version", "Print the version."),
}
"""Each command: where it is, and its line in the list of commands."""


class Commands(TyperGroup):
    """Lists its commands without loading them, and tells of errors in one line."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, summary) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Load the command that runs."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, loaded(name) if name in COMMANDS else command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except CartritaError as error:
            typer.echo(f"cartrita: {line_of(error)}", err=True)
            raise typer.Exit(exit_of(error)) from None
        except BrokenPipeError:
            _hush()
            raise typer.Exit(Exit.PIPE) from None


def _hush() -> None:
    """Send what is still to be said nowhere: whoever read it went away."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def loaded(name: str) -> Any:
    """Return a command: a function is one, and a Typer application a group of them."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    target = getattr(import_module(module), attribute)
    if not isinstance(target, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(name)(target)
        target = single
    return get_command(target)
