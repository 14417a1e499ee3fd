"""Tells what was aimed at, what was measured, and why a figure falls short."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.page.figures import NoResult, Results, written


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure should be.

    Attributes:
        what: The figure, in words.
        figure: The expression for it.
        style: How it is written.
        section: Which section of the page tells more.
        least: It should be at least this.
        most: It should be at most this.
        why: Why it is not, where it is not.
    """

    what: str
    figure: str
    style: str
    section: str
    least: float | None = None
    most: float | None = None
    why: str = ""

    @property
    def words(self) -> str:
        """The aim, as the table shows it."""
        bound, sign = (self.most, "≤") if self.least is None else (self.least, "≥")
        return f"{sign} {written(bound, self.style)}"

    def reached(self, value: float) -> bool:
        """Tell whether a figure is what it should be."""
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )


def read(path: Path) -> list[Aim]:
    """Read the aims of a file."""
    return [Aim(**one) for one in tomllib.loads(path.read_text())["aim"]]


def measured(aims: Sequence[Aim], results: Results) -> list[tuple[Aim, Any]]:
    """Return the aims whose figure was measured, with the figure."""
    found = []
    for aim in aims:
        try:
            found.append((aim, results.value(aim.figure)))
        except NoResult:
            continue
    return found


def anchor(heading: str) -> str:
    """Return what a heading is linked by."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def table(found: Sequence[tuple[Aim, Any]]) -> str:
    """Return the table of what was aimed at."""
    rows = ["| what | aim | measured | |", "|---|---|---|---|"]
    for aim, value in found:
        link = f"[{aim.what}](#{anchor(aim.section)})"
        told = "reached" if aim.reached(value) else "**not reached**"
        rows.append(f"| {link} | {aim.words} | {written(value, aim.style)} | {told} |")
    return "\n".join(rows)


def shortfalls(found: Sequence[tuple[Aim, Any]]) -> str:
    """Return why each figure is not what it should be that is not."""
    return "\n".join(_reasons(found)) or "Every aim is reached."


def _reasons(found: Sequence[tuple[Aim, Any]]) -> Iterator[str]:
    for aim, value in found:
        if not aim.reached(value):
            text = aim.why or "nobody knows yet."
            yield f"- **{aim.what}** ({written(value, aim.style)}, aim {aim.words}): {text}"
