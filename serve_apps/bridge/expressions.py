"""JMESPath with a few functions of ours, read once and then only evaluated."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

from jmespath import exceptions, functions, parser, visitor
from pydantic_core import from_json

from cartrita.clock import new_id
from serve_apps.bridge.finders import Finders, is_true

signature = functions.signature

MOST_ITEMS = 10_000
"""Items of lists that one evaluation looks at one by one, while nobody else is served."""

LONGEST = 15
"""Digits of a number in a text."""


class Unfit(Exception):
    """A value is of another type than an expression needs."""


class _Functions(functions.Functions):
    """JMESPath's own functions and ours. What cannot be done gives null, as theirs do."""

    @signature({"types": []})
    def _func_integer(self, value: Any) -> int | None:
        """A whole number out of a number or a text."""
        number = self._func_to_number(value)
        fits = isinstance(number, int | float) and abs(number) < 10**LONGEST  # not so of NaN
        return int(number) if fits else None

    @signature({"types": []})
    def _func_flag(self, value: Any) -> bool | None:
        """True or false out of a boolean or a text such as `true`, `1`, `no`."""
        if isinstance(value, bool):
            return value
        return _FLAGS.get(str(value).strip().lower())

    @signature({"types": []})
    def _func_text(self, value: Any) -> str | None:
        """A text that is not blank."""
        return value if isinstance(value, str) and value.strip() else None

    @signature({"types": []})
    def _func_from_items(self, pairs: Any) -> dict[str, Any] | None:
        """An object out of pairs of name and value."""
        if not isinstance(pairs, list):
            return None
        return {str(pair[0]): pair[1] for pair in pairs if isinstance(pair, list) and pair[1:]}

    @signature()
    def _func_fresh_id(self) -> str:
        """An id that nobody had before."""
        return new_id()

    @signature({"types": []}, {"types": ["string"]})
    def _func_split(self, value: Any, by: str) -> list[str] | None:
        """The parts of a text, without blanks; a list stays one."""
        if isinstance(value, list):
            return value
        if not isinstance(value, str):
            return None
        return [part.strip() for part in value.split(by) if part.strip()]

    @signature({"types": []})
    def _func_json(self, value: Any) -> Any:
        """What a text says as JSON, as forms send it; what is no text stays as it is."""
        if not isinstance(value, str):
            return value
        try:
            return from_json(value, allow_inf_nan=False)
        except ValueError:
            return None

    @signature({"types": []})
    def _func_given(self, value: Any) -> Any:
        """An object without its nulls, or null when nothing is left."""
        if not isinstance(value, dict):
            return value
        return {key: item for key, item in value.items() if item is not None} or None

    @signature({"types": []})
    def _func_unix(self, value: Any) -> int | None:
        """Whole Unix seconds of a time in ISO 8601."""
        try:
            return int(datetime.fromisoformat(value).timestamp())
        except (TypeError, ValueError):
            return None

    @signature({"types": []}, {"types": ["number"]})
    def _func_times(self, value: Any, factor: float) -> float | None:
        return value * factor if _is_number(value) else None

    @signature({"types": []}, {"types": []})
    def _func_plus(self, value: Any, other: Any) -> float | None:
        return value + other if _is_number(value) and _is_number(other) else None

    @signature({"types": []}, {"types": []})
    def _func_either(self, value: Any, other: Any) -> Any:
        """The second where the first is null; `||` also passes over what is empty or false."""
        return other if value is None else value

    def _func_to_number(self, value: Any) -> Any:
        if isinstance(value, str):
            try:
                return float(value) if "." in value else int(value[:LONGEST])
            except ValueError:
                return None
        return value if _is_number(value) else None

    _func_to_number.signature = ({"types": []},)  # type: ignore[attr-defined]


_FLAGS = {
    "true": True, "1": True, "yes": True, "on": True,
    "false": False, "0": False, "no": False, "off": False,
}  # fmt: skip


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _Reader(visitor.TreeInterpreter):
    """JMESPath's interpreter, which does not go through lists that only an attacker sends.

    Attributes:
        left: Items that the evaluation under way may still look at one by one.
    """

    left = MOST_ITEMS

    def visit_projection(self, node: Any, value: Any) -> Any:
        """Evaluate what stands behind `[*]` or `[]` for each item."""
        base, behind = self.visit(node["children"][0], value), node["children"][1]
        found = (self.visit(behind, item) for item in self._counted(base))
        return _kept(found) if isinstance(base, list) else None

    def visit_filter_projection(self, node: Any, value: Any) -> Any:
        """Evaluate what stands behind `[?…]` for each item of which that is true."""
        source, behind, condition = node["children"]
        base = self.visit(source, value)
        items = [one for one in self._counted(base) if is_true(self.visit(condition, one))]
        return _kept(self.visit(behind, one) for one in items) if isinstance(base, list) else None

    def visit_value_projection(self, node: Any, value: Any) -> Any:
        """Evaluate what stands behind `.*` for each value."""
        base, behind = self.visit(node["children"][0], value), node["children"][1]
        if not isinstance(base, dict):
            return None
        return _kept(self.visit(behind, item) for item in self._counted([*base.values()]))

    def _counted(self, base: Any) -> list[Any]:
        if not isinstance(base, list):
            return []
        self.left -= len(base)
        if self.left < 0:
            raise ValueError(f"lists hold more than {MOST_ITEMS} items")
        return base


def _kept(found: Iterable[Any]) -> list[Any]:
    return [item for item in found if item is not None]


FUNCTIONS = _Functions()
READER = _Reader(visitor.Options(custom_functions=FUNCTIONS))
"""Keeps nothing of what it evaluates but a count, and that for the evaluation under way only."""

_FINDERS = Finders(READER, FUNCTIONS)


class Expression:
    """One expression.

    Args:
        text: In JMESPath.

    Raises:
        ValueError: It is not, names a function that there is none of, or looks into a `not`.
    """

    __slots__ = ("_find", "_tree", "text")

    def __init__(self, text: str) -> None:
        try:
            self._tree = cast("Any", parser.Parser().parse(text).parsed)
        except exceptions.JMESPathError as error:
            raise ValueError(f"is not JMESPath: {str(error).splitlines()[0]}") from None
        self.text = text
        unknown = _called(self._tree) - set(_Functions.FUNCTION_TABLE)
        if unknown:
            raise ValueError(f"calls {min(unknown)}(), which there is none of")
        if _looks_into_not(self._tree):
            raise ValueError("reads a field of `!a`: write `!(a.b)`, as `!a.b` is `(!a).b`")
        self._find = _FINDERS.of(self._tree)

    def __call__(self, document: Any) -> Any:
        """Return what it finds in a document.

        Raises:
            Unfit: A function got a value of another type than it takes.
        """
        READER.left = MOST_ITEMS
        try:
            return self._find(document)
        except (exceptions.JMESPathError, TypeError, ValueError) as error:
            raise Unfit(str(error)) from None

    def holds(self, document: Any) -> bool:
        """Tell whether it finds what counts as true: not null, false or empty."""
        try:
            found = self(document)
        except Unfit:
            return False
        return is_true(found)

    def reads(self, *path: str) -> bool:
        """Tell whether it names a field below another, such as `user.name`."""
        return any(names[: len(path)] == path for names in _paths(self._tree))

    def source(self, name: str) -> str | None:
        """Return the client's own name for a field of the object that this makes.

        None where the object has no such field, or makes it of nothing or several that came.
        """
        pairs = _below(self._tree) if self._tree["type"] == "multi_select_dict" else []
        paths = [path for pair in pairs if pair["value"] == name for path in _paths(pair)]
        found = {path[1] for path in paths if path[0] in _SENT and path[1:]}
        return found.pop() if len(found) == 1 else None


_SENT = ("body", "query", "path")
"""Where a document has what the client sent."""


def _called(tree: dict[str, Any]) -> set[str]:
    own = {tree["value"]} if tree["type"] == "function_expression" else set()
    return own.union(*(_called(child) for child in _below(tree)))


def _looks_into_not(tree: dict[str, Any]) -> bool:
    children = _below(tree)
    inside = tree["type"] == "subexpression" and children[0]["type"] == "not_expression"
    return inside or any(map(_looks_into_not, children))


def _paths(tree: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the chains of fields that stand in an expression."""
    if tree["type"] == "field":
        return [(tree["value"],)]
    if tree["type"] == "subexpression":
        first, *rest = [_paths(child) for child in tree["children"]]
        tails = [path for paths in rest for path in paths]
        return [head + tail for head in first for tail in tails] + first + tails
    return [path for child in _below(tree) for path in _paths(child)]


def _below(tree: dict[str, Any]) -> list[dict[str, Any]]:
    return [child for child in tree.get("children", ()) if isinstance(child, dict)]
