"""Shows on a terminal how far a batch is."""

from types import TracebackType
from typing import Self

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from cartrita.cli.output import console


class Meter:
    """A progress bar on standard error; nothing where that is no terminal.

    Args:
        total: Bytes of the file; None where nobody knows.
        good: Tasks that completed before.
        bad: Tasks that did not.
    """

    def __init__(self, total: int | None, good: int, bad: int) -> None:
        self._good, self._bad, self._size = good, bad, 0
        self._bar = Progress(
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=console(stderr=True),
            transient=True,
            disable=not console(stderr=True).is_terminal,
        )
        self._task = self._bar.add_task("", total=total, told=self._told())

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def step(self, size: int, skipped: int, *, good: bool) -> None:
        """Show that one more ended, which took so many bytes of the file."""
        self._size += size
        self._good, self._bad = self._good + good, self._bad + (not good)
        self._bar.update(self._task, completed=self._size + skipped, told=self._told())

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self._bar.disable:
            typer.echo(text, err=True)
        else:
            self._bar.console.print(Text(text), soft_wrap=True)

    def _told(self) -> str:
        return f"{self._good} completed" + (f", {self._bad} not" if self._bad else "")
