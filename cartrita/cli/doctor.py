"""`cartrita doctor`."""

from dataclasses import asdict

import typer
from rich.text import Text

from cartrita.cli.checks import Finding, examine
from cartrita.cli.exits import Exit
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json
from cartrita.config.load import load_settings
from cartrita.config.settings import Settings
from cartrita.errors import ConfigurationInvalid
from cartrita.instance import paths_of, running

_COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Check that this machine can run an instance, and say what to do where it cannot."""
    findings: list[Finding] = []
    settings = Settings()
    try:
        settings = load_settings(options_of(ctx).overrides)
    except ConfigurationInvalid as error:
        findings.append(Finding("settings", "fail", error.message, "Correct it; defaults follow."))
    findings += examine(settings, runs=running(paths_of(settings)) is not None)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(Exit.FAILED)


def _print(findings: list[Finding]) -> None:
    out = console()
    for found in findings:
        mark = (f"{found.state:5}", _COLORS[found.state])
        out.print(Text.assemble(mark, f"{found.check:16} ", found.detail), soft_wrap=True)
        if found.remedy:
            out.print(Text(f"{'':22}→ {found.remedy}", style="dim"), soft_wrap=True)
