"""Reads figures out of results, by the paths that the template and the aims name.

A path is a result's name and keys, joined by dots: `http_path.results.32.cartrita task.rps`.
Of a list, such as the rounds of a case, it takes the median; `most`, `least`, `sum` and `count`
before the path take something else. `*` is every entry. Paths and numbers may be joined by
` / `, ` * ` and ` - `, from left to right. One that begins with a dot starts at an entry.
"""

import json
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ABSENT = "-"
"""Stands where an entry has no such figure."""

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "/": operator.truediv,
    "*": operator.mul,
    "-": operator.sub,
}
_CHOICES: dict[str, Callable[[Sequence[Any]], Any]] = {
    "most": max,
    "least": min,
    "sum": sum,
    "count": len,
}


class NoFigure(LookupError):
    """There is none at a path."""


class NoResult(NoFigure):
    """The benchmark has saved nothing yet."""


class Results:
    """What benchmarks saved.

    Args:
        saved: By name.
    """

    def __init__(self, saved: dict[str, Any]) -> None:
        self._saved = saved

    @classmethod
    def read(cls, folder: Path) -> "Results":
        """Read every result of a folder."""
        return cls({path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")})

    def __contains__(self, name: str) -> bool:
        return name in self._saved

    def at(self, path: str, entry: Any = None) -> list[Any]:
        """Return all that stands at a path.

        Raises:
            NoFigure: Nothing does.
        """
        name, *keys = path.split(".")
        if name and name not in self._saved:
            raise NoResult(f"there is no result {name!r}")
        whole = self._saved[name] if name else entry
        found = list(_below(whole, [key for key in keys if key]))
        if not found:
            raise NoFigure(f"there is nothing at {path!r}")
        return found

    def raw(self, path: str) -> Any:
        """Return what stands at a path as it is, lists included.

        Raises:
            NoFigure: Nothing does.
        """
        name, *keys = path.split(".")
        if name not in self._saved:
            raise NoResult(f"there is no result {name!r}")
        value = self._saved[name]
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise NoFigure(f"there is nothing at {path!r}")
            value = value[key]
        return value

    def value(self, expression: str, entry: Any = None) -> Any:
        """Return the figure that an expression names.

        Raises:
            NoFigure: There is none.
        """
        first, *rest = re.split(r" ([/*-]) ", expression.strip())
        value = self._term(first, entry)
        for sign, term in zip(rest[::2], rest[1::2], strict=True):
            value = _OPERATORS[sign](value, self._term(term, entry))
        return value

    def _term(self, term: str, entry: Any) -> Any:
        if re.fullmatch(r"\d+(\.\d+)?", term):
            return float(term)
        choice, _, path = term.partition(" ")
        if choice in _CHOICES:
            return _CHOICES[choice](self.at(path, entry))
        found = self.at(term, entry)
        return median(found) if len(found) > 1 else found[0]


def _below(value: Any, keys: Sequence[str]) -> Iterator[Any]:
    """Yield what stands below a value; a list stands for each of its entries."""
    if isinstance(value, list):
        for item in value:
            yield from _below(item, keys)
    elif not keys:
        if value is not None:
            yield value
    elif isinstance(value, dict):
        head, *rest = keys
        for chosen in value.values() if head == "*" else [value.get(head)]:
            yield from _below(chosen, rest)


def written(value: Any, style: str) -> str:
    """Write a figure.

    Args:
        value: The figure.
        style: Its decimals, such as `1`; `%` for a percentage, `%1` for one with a decimal;
            `x` for how many times; `text` for what is no number.
    """
    if style == "text":
        return str(value)
    if style.startswith("%"):
        return f"{100 * value:.{style[1:] or 0}f} %"
    if style == "x":
        return f"{value:.{0 if value >= 20 else 1}f}"
    return f"{value:,.{style}f}"
