"""How `cartrita top` looks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from cartrita.cli.output import state_style

Row = dict[str, Any]

_MB = 1 << 20


class Order(StrEnum):
    """What stands first."""

    NAME = "name"
    TASKS = "tasks"
    FAILURES = "failures"
    P95 = "p95"
    WAITING = "waiting"
    RUNNING = "running"
    COST = "cost"
    MEMORY = "memory"
    RESTARTS = "restarts"


_KEYS: Mapping[Order, tuple[str, ...]] = {
    Order.TASKS: ("tasksPerSecond", "inFlight"),
    Order.FAILURES: ("failedPerSecond", "restarts"),
    Order.P95: ("p95Ms",),
    Order.WAITING: ("waiting", "queueDepth"),
    Order.RUNNING: ("running", "inFlight"),
    Order.COST: ("usdPerHour",),
    Order.MEMORY: ("memoryBytes",),
    Order.RESTARTS: ("restarts",),
}
"""What to sort teams by, or, where a row has no such thing, processes."""

TEAM_COLUMNS = {
    "state": "State",
    "tasksPerSecond": "Tasks/s",
    "failedPerSecond": "Failed/s",
    "p95Ms": "p95",
    "waiting": "Waiting",
    "running": "Running",
    "usdPerHour": "$/h",
    "tokensPerSecond": "Tokens/s",
    "journalBatch": "Batch",
    "journalMs": "Write",
    "journalWaiting": "Behind",
    "memoryBytes": "Memory",
}
COLUMNS = {
    "state": "State",
    "queueDepth": "Waiting",
    "inFlight": "Running",
    "pool": "Hosts",
    "memoryBytes": "Memory",
    "restarts": "Restarts",
    "epoch": "Epoch",
    "pid": "Pid",
    "node": "Node",
    "agents": "Agents",
}
_LEFT = {"state", "node", "agents"}
_FIRST_TO_GO = ("node", "epoch", "tokensPerSecond", "journalWaiting", "agents", "pid",
                "journalBatch", "pool", "journalMs", "restarts", "usdPerHour", "memoryBytes",
                "waiting", "p95Ms", "queueDepth", "running", "failedPerSecond", "inFlight",
                "tasksPerSecond")  # fmt: skip
"""What is left out where there is no room, in this order."""


class Picture:
    """A line about all of it, a table of teams, and a row for each process."""

    def __init__(
        self,
        tree: Row,
        teams: list[Row],
        problem: str | None = None,
        order: Order = Order.NAME,
    ) -> None:
        self._tree, self._problem = tree, problem
        self._teams, self._order = teams, order

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it as wide as there is room."""
        if self._problem:
            yield Text(self._problem, style="bold red")
        yield _summary(self._tree)
        if self._teams:
            yield _fitting(
                console, options, "Team", TEAM_COLUMNS, _ordered(self._teams, self._order)
            )
        rows = list(_rows(self._tree, self._order))
        yield _fitting(console, options, "Name", COLUMNS, rows)


def _fitting(
    console: Console,
    options: ConsoleOptions,
    title: str,
    columns: Mapping[str, str],
    rows: list[Row],
) -> Table:
    """Return a table of all columns for which there is room, and of which something is known."""
    shown = {name: head for name, head in columns.items() if any(_has(row, name) for row in rows)}
    spare = [name for name in _FIRST_TO_GO if name in shown]
    while True:
        table = _table(title, shown, rows)
        fits = (
            Measurement.get(console, options.update(max_width=1000), table).maximum
            <= options.max_width
        )
        if fits or not spare:
            return table
        del shown[spare.pop(0)]


def _table(title: str, shown: Mapping[str, str], rows: Iterable[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(title, no_wrap=True)
    for name, head in shown.items():
        table.add_column(head, justify="left" if name in _LEFT else "right", no_wrap=True)
    for row in rows:
        table.add_row(Text(row["name"]), *(_cell(row, name) for name in shown))
    return table


def _ordered(rows: Iterable[Row], order: Order) -> list[Row]:
    """Return rows with the most of something first; the sum of all stays last."""
    found = list(rows)
    if order is Order.NAME:
        return found
    return sorted(found, key=lambda row: (row["name"] == "all", -_weight(row, order)))


def _weight(row: Row, order: Order) -> float:
    return next((float(row[key] or 0) for key in _KEYS[order] if key in row), 0.0)


def _rows(tree: Row, order: Order) -> Iterator[Row]:
    """Yield the processes from above, their names drawn as a tree."""
    if "orchestrator" in tree:
        yield {**tree["orchestrator"], "name": "orchestrator"}
    supervisors = _ordered(({**s, "name": s["id"]} for s in tree.get("supervisors") or []), order)
    for place, supervisor in enumerate(supervisors, 1):
        last = place == len(supervisors)
        yield {**supervisor, "name": f"{'└─' if last else '├─'} {supervisor['id']}"}
        hosts = _ordered(({**h, "name": h["id"]} for h in supervisor.get("hosts") or []), order)
        for number, host in enumerate(hosts, 1):
            branch = "└─" if number == len(hosts) else "├─"
            yield {**host, "name": f"{'  ' if last else '│ '} {branch} {host['id']}"}
    yield from tree.get("services") or []


def _has(row: Row, name: str) -> bool:
    return row.get(name) not in (None, "", [], 0 if name == "memoryBytes" else None)


def _of_capacity(value: Any, row: Row) -> str:
    return str(value) if row.get("capacity") is None else f"{value}/{row['capacity']}"


_SHOWN: Mapping[str, Callable[[Any, Row], str]] = {
    "inFlight": _of_capacity,
    "running": _of_capacity,
    "agents": lambda value, _: ", ".join(map(str, value)),
    "pool": lambda value, _: f"{value['least']}-{value['most']}",
    "memoryBytes": lambda value, _: f"{value / _MB:.0f} MB",
    "p95Ms": lambda value, _: f"{value:g} ms",
    "journalMs": lambda value, _: f"{value:.1f} ms",
    "usdPerHour": lambda value, _: f"{value:.4g}",
    "tasksPerSecond": lambda value, _: f"{value:g}",
    "failedPerSecond": lambda value, _: f"{value:g}",
}


def _cell(row: Row, name: str) -> Text:
    value = row.get(name)
    if not _has(row, name):
        return Text("")
    if name == "state":
        return Text(str(value), style=state_style(str(value)))
    style = "red" if name == "failedPerSecond" and value else ""
    show = _SHOWN.get(name)
    return Text(show(value, row) if show else str(value), style=style)


def _summary(tree: Row) -> Text:
    supervisors = tree.get("supervisors") or []
    up = sum(supervisor.get("state") == "up" for supervisor in supervisors)
    running = sum(supervisor.get("inFlight") or 0 for supervisor in supervisors)
    waiting = sum(supervisor.get("queueDepth") or 0 for supervisor in supervisors)
    facts = [
        f"{up} of {len(supervisors)} supervisors up",
        f"{running} running",
        f"{waiting} waiting",
    ]
    if tree.get("buildId"):
        facts.append(f"build {tree['buildId']}")
    return Text(" · ".join(facts), style="bold", no_wrap=True, overflow="ellipsis")
