"""Shows how far tasks are, in a terminal or a notebook."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from cartrita.client.models import TaskEvent

LONGEST = 60
"""Characters of what a task says about itself."""


class Bars:
    """One bar for each task that runs.

    A task that tells a fraction moves its bar; of others the bar shows that they run, what
    they say, and for how long.

    Args:
        console: Where they are shown: standard error by default, and in a notebook its cell.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._shown = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}", markup=False),
            console=console or _console(),
        )
        self._users, self._lock = 0, Lock()

    def __enter__(self) -> Self:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._shown.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._shown.stop()

    @contextmanager
    def one(self, name: str) -> Iterator["Bar"]:
        """Show a bar for as long as a task runs, and leave it there as it ended."""
        with self:
            bar = Bar(self._shown, self._shown.add_task(name, total=None, said="waits"))
            try:
                yield bar
            finally:
                bar.stop()


class Bar:
    """The bar of one task."""

    def __init__(self, shown: Progress, number: TaskID) -> None:
        self._shown, self._number = shown, number

    def show(self, event: TaskEvent) -> None:
        """Show what a task said."""
        data = event.data if isinstance(event.data, dict) else {}
        if event.type == "completed":
            self._update(total=1.0, completed=1.0, said="completed")
        elif event.type == "reset":
            self._update(total=None, completed=0.0, said="again")
        elif event.type == "progress":
            self._progress(data.get("fraction"), str(data.get("text") or ""))
        elif event.type != "token":
            self._update(said=str(data.get("name") or event.type))

    def _progress(self, fraction: Any, text: str) -> None:
        fields: dict[str, Any] = {"said": text[:LONGEST]} if text else {}
        if fraction is not None:
            fields.update(total=1.0, completed=float(fraction))
        self._update(**fields)

    def _update(self, **fields: Any) -> None:
        self._shown.update(self._number, **fields)

    def stop(self) -> None:
        """Let the time stand still."""
        self._shown.stop_task(self._number)


def _console() -> Console:
    """Return where people look: a notebook's cell, or standard error."""
    console = Console()
    return console if console.is_jupyter else Console(stderr=True)
