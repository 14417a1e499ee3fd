"""`cartrita up` and `cartrita down`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel

from cartrita.cli import attached
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, print_json
from cartrita.config.load import child_environment, load_settings
from cartrita.config.settings import Settings
from cartrita.errors import ServiceUnavailable
from cartrita.instance import make_folders, paths_of, running
from cartrita.openers.vault import PROVIDERS, resolved

START_TIMEOUT = 300.0
STOP_TIMEOUT = 120.0
_LOOK_AGAIN = 0.1
_STEPS = {
    "postgres": "PostgreSQL 16 with pgvector",
    "valkey": "Valkey",
    "migrations": "Database schema",
    "ray": "Ray",
    "tree": "Orchestrator, supervisors, workers",
    "serve": "Ray Serve: the gateway",
    "ready": "Gateway ready",
    "edge": "Public ports",
    "draining": "Letting accepted tasks finish",
    "redeploy": "Replacing the gateways",
    "certificate": "A new certificate for the public ports",
    "again": "Ray died: starting it again, and the tree on it",
}


def up(
    ctx: typer.Context,
    *,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return once it runs; it goes on by itself.")
    ] = False,
    if_stopped: Annotated[
        bool, typer.Option("--if-stopped", help="Do nothing where it runs already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start an instance on this machine: databases, Ray, the tree and the doors.

    In the foreground it ends with Ctrl-C. Where a setting names a Ray that runs, the tree and
    the gateway are deployed on that instead, and stay until `cartrita down`.
    """
    settings = load_settings(options_of(ctx).overrides)
    state = running(paths_of(settings)) if if_stopped else None
    if state is not None and state.ready:
        Console(stderr=True).print(f"It runs already: {state.urls['api']}")
        return
    start(settings, detach=detach, as_json=as_json)


def down(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Let accepted tasks end, then end the instance and every process of it."""
    settings = load_settings(options_of(ctx).overrides)
    ended = stop(settings) if settings.embedded else attached.remove(settings)
    home = str(paths_of(settings).home)
    if as_json:
        print_json({"home": home, "stopped": ended})
    else:
        typer.echo("Stopped." if ended else f"No instance runs in {home!r}.")


def start(settings: Settings, *, detach: bool, as_json: bool) -> None:
    """Start an instance of our own, or on the Ray that the settings name."""
    if not settings.embedded:
        attached.deploy(settings, as_json=as_json)
        return
    if detach:
        _detached(settings, as_json=as_json)
    else:
        _foreground(settings, as_json=as_json)


def _foreground(settings: Settings, *, as_json: bool) -> None:
    from cartrita.cli.owner import Owner, Started  # noqa: PLC0415 - the databases' clients
    from cartrita.telemetry import log  # noqa: PLC0415 - only who stays has a log

    told = settings.telemetry
    log.configure(told.log_level, told.log_format, scrubbed=settings.privacy.logs)
    console = Console(stderr=True)

    def say(step: str) -> None:
        if as_json:
            _line({"step": step})
        else:
            console.print(f"[dim]·[/] {_STEPS.get(step, step)} …")

    def password(email: str, secret: str) -> None:
        if as_json:
            _line({"adminEmail": email, "adminPassword": secret})
        else:
            _show_password(email, secret)

    def ready(started: Started) -> None:
        if as_json:
            _line({"ready": True, "urls": started.urls, "adminEmail": started.admin_email})
        else:
            _welcome(started.urls, started.admin_email)

    settings = resolved(settings, PROVIDERS)
    asyncio.run(Owner(settings, say, password).run(ready))


def _line(message: dict[str, Any]) -> None:
    """Print a message, for as long as anybody reads: a detached owner outlives its reader."""
    try:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _welcome(urls: dict[str, str], email: str) -> None:
    rows = [f"[bold]{name:10}[/] {url}" for name, url in urls.items()]
    rows.append(f"[bold]{'admin':10}[/] {email}")
    Console().print(Panel("\n".join(rows), title="Cartrita runs", expand=False))


def _show_password(email: str, secret: str) -> None:
    text = f"[bold]{email}[/]\n[bold]{secret}[/]"
    Console().print(Panel(text, title="Administrator, shown this once", expand=False))


def _detached(settings: Settings, *, as_json: bool) -> None:
    """Start an owner in a session of its own and follow it until it is ready."""
    paths = paths_of(settings)
    make_folders(paths)
    log = paths.logs / "owner.log"
    with log.open("ab") as errors:
        owner = subprocess.Popen(
            [sys.executable, "-m", "cartrita", "up", "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=child_environment(settings),
            start_new_session=True,
            text=True,
        )
    console = Console(stderr=True)
    assert owner.stdout is not None
    facts: dict[str, Any] = {}
    with console.status("Starting …"):
        for line in owner.stdout:
            message = json.loads(line)
            facts |= message
            if "step" in message and not as_json:
                console.print(f"[dim]·[/] {_STEPS.get(message['step'], message['step'])} …")
            if "adminPassword" in message and not as_json:
                _show_password(message["adminEmail"], message["adminPassword"])
            if "ready" in message:
                break
    if "ready" not in facts:
        owner.wait(STOP_TIMEOUT)
        raise ServiceUnavailable(f"It did not start:\n{_end_of(log)}")
    facts.pop("step", None)
    if as_json:
        _line(facts)
    else:
        _welcome(facts["urls"], facts["adminEmail"])
        console.print("Stop it with [bold]cartrita down[/].")


def _end_of(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def stop(settings: Settings) -> bool:
    """Drain and end the instance; False when none runs.

    Raises:
        ServiceUnavailable: It did not end in time.
    """
    paths = paths_of(settings)
    state = running(paths)
    if state is None:
        return False
    os.kill(state.pid, signal.SIGTERM)
    patience = STOP_TIMEOUT + settings.server.drain_s
    limit = time.monotonic() + patience
    while running(paths) is not None:
        if time.monotonic() > limit:
            raise ServiceUnavailable(
                f"Process {state.pid} did not end within {patience:g} s; see "
                f"{str(paths.logs / 'owner.log')!r}, or end it with `kill -9 {state.pid}`."
            )
        time.sleep(_LOOK_AGAIN)
    return True
