"""Tells a task's events to a person."""

from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from cartrita.cli.output import console, print_outcome
from cartrita.client import TaskEvent, TaskOutcome
from cartrita.protocol.task import TaskStatus

_COMPLETED = TaskStatus.COMPLETED.lower()
_COLORS = {"token": "default", "retry": "yellow", "reset": "yellow", _COMPLETED: "green"}
_COLORS |= {"failed": "red", "timeout": "red", "cancelled": "yellow", "tool": "cyan"}


class Narration:
    """Prints events: tokens as one running text, all else line by line.

    Attributes:
        failed: Whether the task ended otherwise than by completing.
    """

    def __init__(self) -> None:
        self._out: Console = console()
        self._in_text = False
        self.failed = False

    def tell(self, event: TaskEvent, *, show: bool = True) -> None:
        """Take note of an event, and show it."""
        self.failed = event.ends and event.type != _COMPLETED
        if not show:
            return
        if event.type == "token":
            self._out.print(Text(said(event.data)), end="", soft_wrap=True)
            self._in_text = True
            return
        if self._in_text:
            self._out.print()
            self._in_text = False
        self._line(event)

    def _line(self, event: TaskEvent) -> None:
        outcome = _outcome(event) if event.ends else None
        told = Text.assemble(
            (f"{event.at.astimezone():%H:%M:%S.%f}"[:-3], "dim"),
            "  ",
            (f"{event.type:9}", style_of(event)),
            "" if outcome else f" {about(event)}",
        )
        told.rstrip()
        self._out.print(told, soft_wrap=True)
        if outcome:
            print_outcome(outcome, as_json=False)


def style_of(event: TaskEvent) -> str:
    """Return how an event's type is shown."""
    return _COLORS.get(event.type, "blue")


def _outcome(event: TaskEvent) -> TaskOutcome | None:
    try:
        return TaskOutcome.model_validate(event.data)
    except ValidationError:
        return None


def about(event: TaskEvent) -> str:
    """Return what an event says, in a line."""
    data: Any = event.data
    if event.type == "progress" and isinstance(data, dict):
        share = data.get("fraction")
        parts = [f"{share:.0%}" if isinstance(share, int | float) else "", data.get("text") or ""]
        return " ".join(filter(None, parts))
    if event.type == "reset":
        return f"attempt {event.attempt} begins: what was said before does not count"
    if isinstance(data, dict):
        return ", ".join(f"{name}: {value}" for name, value in data.items())
    return "" if data is None else str(data)


def said(data: Any) -> str:
    """Return the text of a token."""
    return str(data.get("text") or "") if isinstance(data, dict) else str(data or "")
