"""`cartrita tree`."""

from typing import Any

import typer
from rich.text import Text
from rich.tree import Tree

from cartrita.cli.connection import connect
from cartrita.cli.options import options_of
from cartrita.cli.output import AsJson, console, print_json, state_style


def tree(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Show the live tree of actors; processes and nodes for administrators only.

    Where the terminal knows links, a name is one to its actor in Ray's dashboard.
    """
    with connect(options_of(ctx)) as client:
        found = client.tree()
    if as_json:
        print_json(found)
    else:
        console().print(drawn(found))


def drawn(found: dict[str, Any]) -> Tree:
    """Return the tree as Rich draws it."""
    root = Tree(_label("cartrita", {**(found.get("owner") or {}), "build": found.get("buildId")}))
    orchestrator = root.add(_label("orchestrator", found.get("orchestrator") or {}))
    for supervisor in found.get("supervisors", ()):
        branch = orchestrator.add(_label(supervisor["id"], supervisor))
        for host in supervisor.get("hosts", ()):
            branch.add(_label(host["id"], host))
    for service in found.get("services", ()):
        root.add(_label(service["name"], service))
    return root


def _label(name: str, node: dict[str, Any]) -> Text:
    link = node.get("dashboard")
    text = Text.assemble((name, f"bold link {link}" if link else "bold"))
    state = node.get("state")
    if state:
        text.append(f" {state}", style=state_style(state))
    facts = {
        "{} of {} running": (node.get("inFlight"), node.get("capacity")),
        "{} waiting": (node.get("queueDepth"),),
        "{} restarts": (node.get("restarts"),),
        "epoch {}": (node.get("epoch"),),
        "pid {}": (node.get("pid"),),
        "build {}": (node.get("build"),),
        "{}": (", ".join(map(str, node.get("agents") or ())),),
    }
    told = [fact.format(*values) for fact, values in facts.items() if all(_told(v) for v in values)]
    return text.append(f"  {' · '.join(told)}", style="dim") if told else text


def _told(value: Any) -> bool:
    return value is not None and value != ""
