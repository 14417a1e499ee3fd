"""`cartrita certs`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cartrita.auth.certificates import (
    AUTHORITY_DAYS,
    CA,
    CERT,
    KEY,
    Node,
    alternatives,
    issue,
    make_authority,
    names_of,
    open_authority,
)
from cartrita.cli.machine import this_machine
from cartrita.cli.output import AsJson, print_json
from cartrita.clock import SystemClock
from cartrita.errors import ConfigurationInvalid


def certs(
    *,
    out: Annotated[Path, typer.Option(help="Folder of the authority and of its nodes.")],
    node: Annotated[
        list[str] | None,
        typer.Option(
            help="A node's host name or IP address, or several of the same node with commas "
            "between; once per node. Without it, this machine (with --renew: every node there is)."
        ),
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=AUTHORITY_DAYS, help="Until the nodes' certificates expire.")
    ] = 825,
    renew: Annotated[
        bool, typer.Option("--renew", help="Make certificates from the authority that is there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make certificates for TLS between nodes."""
    wanted = [_names(text) for text in node or ()]
    if len({names[0] for names in wanted}) < len(wanted):
        raise typer.BadParameter("Two nodes have the same first name, which names their folder.")
    try:
        made = _make(out.absolute(), wanted, days, renew=renew)
    except OSError as error:
        raise ConfigurationInvalid(f"Cannot write {error.filename!r}: {error.strerror}.") from None
    if as_json:
        print_json({"authority": str(out.absolute() / CA), "nodes": [_facts(n) for n in made]})
        return
    for each in made:
        _print(each)


def _names(text: str) -> Sequence[str]:
    """Read the names of one node, before anything is made."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise typer.BadParameter(f"{text!r} names no node.")
    alternatives(names)
    return names


def _make(folder: Path, wanted: list[Sequence[str]], days: int, *, renew: bool) -> list[Node]:
    clock = SystemClock()
    authority = open_authority(folder) if renew else make_authority(folder, clock)
    if not wanted:
        wanted = [*(names_of(folder) if renew else ())] or [this_machine()]
    return [issue(authority, folder, names, days, clock) for names in wanted]


def _settings(node: Node) -> dict[str, str]:
    """Return the variables for Cartrita's channels, then those for Ray itself."""
    ca, cert, key = (str(node.folder / name) for name in (CA, CERT, KEY))
    return {
        "CARTRITA_CHANNEL__TCP": "true",
        "CARTRITA_CHANNEL__CA": ca,
        "CARTRITA_CHANNEL__CERT": cert,
        "CARTRITA_CHANNEL__KEY": key,
        "RAY_USE_TLS": "1",
        "RAY_TLS_CA_CERT": ca,
        "RAY_TLS_SERVER_CERT": cert,
        "RAY_TLS_SERVER_KEY": key,
    }


def _facts(node: Node) -> dict[str, Any]:
    return {
        "folder": str(node.folder),
        "names": list(node.names),
        "expires": node.expires.isoformat(),
        "settings": _settings(node),
    }


def _print(node: Node) -> None:
    typer.echo(f"# {node.folder.name}: {', '.join(node.names)}; until {node.expires:%Y-%m-%d}")
    for name, value in _settings(node).items():
        typer.echo(f"{name}={value}")
    typer.echo()
