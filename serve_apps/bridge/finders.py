"""Turns the trees of expressions into Python functions, which find the same in a fifth of the time.

What is rare is left to JMESPath's own interpreter.
"""

from collections.abc import Callable
from functools import partial
from numbers import Number
from typing import Any

from jmespath.functions import Functions
from jmespath.visitor import TreeInterpreter

Find = Callable[[Any], Any]
Node = Any
"""A dict as JMESPath's parser makes them."""

_COMPARES = ("eq", "ne")
"""The comparisons of anything with anything; the others are of numbers only."""


def is_true(value: Any) -> bool:
    """Tell whether a value counts as true in JMESPath, where 0 does."""
    return bool(value) or not (value is None or value is False or value in ("", [], {}))


class Finders:
    """Makes functions out of the nodes of trees, by methods that have their types' names.

    Args:
        reader: Evaluates the nodes that there is no method for.
        functions: What expressions call.
    """

    def __init__(self, reader: TreeInterpreter, functions: Functions) -> None:
        self._reader, self._functions = reader, functions

    def of(self, node: Node) -> Find:
        """Return what finds in a document what a node says."""
        make: Callable[[Node], Find] | None = getattr(self, f"_{node['type']}", None)
        return make(node) if make else partial(self._reader.visit, node)

    def _all(self, node: Node) -> list[Find]:
        return [self.of(child) for child in node["children"]]

    def _current(self, _node: Node) -> Find:
        return lambda value: value

    _identity = _current

    def _literal(self, node: Node) -> Find:
        told = node["value"]
        return lambda _value: told

    def _field(self, node: Node) -> Find:
        return _path((node["value"],))

    def _subexpression(self, node: Node) -> Find:
        names = _names(node)
        return _path(names) if names else self._pipe(node)

    def _pipe(self, node: Node) -> Find:
        steps = self._all(node)

        def follow(value: Any) -> Any:
            for step in steps:
                value = step(value)
            return value

        return follow

    _index_expression = _pipe

    def _index(self, node: Node) -> Find:
        place = node["value"]

        def pick(value: Any) -> Any:
            inside = isinstance(value, list) and -len(value) <= place < len(value)
            return value[place] if inside else None

        return pick

    def _multi_select_dict(self, node: Node) -> Find:
        fields = [(pair["value"], self.of(pair["children"][0])) for pair in node["children"]]
        return lambda value: None if value is None else {name: find(value) for name, find in fields}

    def _multi_select_list(self, node: Node) -> Find:
        items = self._all(node)
        return lambda value: None if value is None else [find(value) for find in items]

    def _or_expression(self, node: Node) -> Find:
        first, second = self._all(node)

        def either(value: Any) -> Any:
            found = first(value)
            return found if found or is_true(found) else second(value)

        return either

    def _and_expression(self, node: Node) -> Find:
        first, second = self._all(node)

        def both(value: Any) -> Any:
            found = first(value)
            return second(value) if found or is_true(found) else found

        return both

    def _not_expression(self, node: Node) -> Find:
        (inner,) = self._all(node)

        def negated(value: Any) -> bool:
            found = inner(value)
            return not found and (isinstance(found, bool) or not isinstance(found, Number))

        return negated

    def _comparator(self, node: Node) -> Find:
        if node["value"] not in _COMPARES:
            return partial(self._reader.visit, node)
        compare = TreeInterpreter.COMPARATOR_FUNC[node["value"]]
        first, second = self._all(node)
        return lambda value: compare(first(value), second(value))

    def _function_expression(self, node: Node) -> Find:
        name, arguments = node["value"], self._all(node)
        told = self._functions.FUNCTION_TABLE[name]
        takes = told["signature"]
        checks = any(one["types"] or one.get("variadic") for one in takes)
        if checks or len(takes) != len(arguments):
            call = partial(self._functions.call_function, name)
            return lambda value: call([find(value) for find in arguments])
        function = partial(told["function"], self._functions)
        if len(arguments) == 1:
            (only,) = arguments
            return lambda value: function(only(value))
        return lambda value: function(*[find(value) for find in arguments])


def _names(node: Node) -> tuple[str, ...]:
    """Return the fields of a chain that has nothing else in it; none for any other."""
    if node["type"] == "field":
        return (node["value"],)
    if node["type"] != "subexpression":
        return ()
    parts = [_names(child) for child in node["children"]]
    return tuple(name for part in parts for name in part) if all(parts) else ()


def _path(names: tuple[str, ...]) -> Find:
    def find(value: Any) -> Any:
        try:
            for name in names:
                if value is None:
                    return None
                value = value.get(name)
        except AttributeError:
            return None
        return value

    return find
