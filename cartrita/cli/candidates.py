"""What Tab offers in the place of a value."""

import typer

from cartrita.cli.connection import connect
from cartrita.cli.options import Options
from cartrita.errors import CartritaError

QUICK = 2.0
"""Seconds that somebody who pressed Tab waits for the server."""


def task_types(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the task types that begin so, each with its summary; none where nobody answers."""
    try:
        with connect(_options(ctx), timeout=QUICK, retries=0) as client:
            types = client.catalog()
    except (CartritaError, OSError, typer.BadParameter):
        return []
    named = [(found.task_type, found.summary) for found in types]
    return [found for found in named if found[0].startswith(incomplete)]


def _options(ctx: typer.Context) -> Options:
    """Return what was said before the command; nobody has read it yet."""
    said = ctx.find_root().params
    return Options.of(said.get("home"), said.get("url"), said.get("assignments") or [])
