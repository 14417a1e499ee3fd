"""`cartrita version`."""

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import typer

from cartrita import __version__
from cartrita.cli.output import AsJson, print_json


def version(*, as_json: AsJson = False) -> None:
    """Print the version."""
    facts = {
        "cartrita": __version__,
        "python": platform.python_version(),
        "ray": _ray(),
        "platform": platform.platform(),
    }
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        typer.echo(f"{name:9} {value or 'not installed'}")


def _ray() -> str | None:
    try:
        return installed("ray")
    except PackageNotFoundError:
        return None
