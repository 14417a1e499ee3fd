"""Tells in what two answers to one request differ: in status and shape, never in values."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

DEEPEST = 12
"""Levels of a body that are looked at."""

WIDEST = 200
"""Elements of an array, and fields of an object, that are looked at."""

MOST = 50
"""Differences that are told of one answer."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""Names of fields that are told; any other may be somebody's own words, such as an address."""

_JSON = ("application/json", "application/problem+json")
_MISSING, _NULL = "missing", "null"
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), _NULL),
    (bool, "boolean"),  # before the numbers, which it is one of in Python
    ((int, float), "number"),
    (str, "string"),
    (list, "array"),
    (Mapping, "object"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        kind: Its media type, without parameters.
        body: What its JSON says; None for all else.
    """

    status: int
    kind: str = ""
    body: Any = None

    @property
    def is_json(self) -> bool:
        """Whether its body can be looked into."""
        return self.kind in _JSON


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same.

    Attributes:
        where: `status`, `type`, or a path into the body such as `$.user.id` or `$.data[].id`.
        v2: What is there in v2's answer.
        bridge: What is there in the bridge's.
        breaks: Whether a client of v2 may stumble over it: what is only there in addition
            breaks nobody.
    """

    where: str
    v2: str
    bridge: str
    breaks: bool = True

    def to_wire(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"where": self.where, "v2": self.v2, "bridge": self.bridge, "breaks": self.breaks}


@dataclass(slots=True)
class Shape:
    """What kinds of values stand in one place.

    Attributes:
        kinds: JSON's names of them.
        fields: Of the objects, what stands in each field.
        always: Fields that all objects have.
        items: What stands in the arrays, if anything does.
    """

    kinds: set[str] = field(default_factory=set)
    fields: dict[str, "Shape"] = field(default_factory=dict)
    always: set[str] = field(default_factory=set)
    items: "Shape | None" = None

    def told(self) -> str:
        """Return the kinds in words."""
        return " or ".join(sorted(self.kinds)) or "nothing"


def shape_of(values: Iterable[Any], depth: int = 0) -> Shape:
    """Return what kinds of values some are, all in one place."""
    found = Shape()
    objects, elements = 0, list[Any]()
    for value in islice(values, WIDEST):
        found.kinds.add(_kind(value))
        if isinstance(value, Mapping):
            names = set(islice(map(str, value), WIDEST))
            found.always = found.always & names if objects else names
            objects += 1
            for name in names:
                found.fields.setdefault(name, Shape())
        elif isinstance(value, list):
            elements += islice(value, WIDEST)
    if depth < DEEPEST:
        _look_inside(found, values, elements, depth)
    return found


def _look_inside(found: Shape, values: Iterable[Any], elements: list[Any], depth: int) -> None:
    kept = [value for value in islice(values, WIDEST) if isinstance(value, Mapping)]
    for name in found.fields:
        inner = [value[name] for value in kept if name in value]
        found.fields[name] = shape_of(inner, depth + 1)
    if elements:
        found.items = shape_of(elements, depth + 1)


def _kind(value: Any) -> str:
    kinds = (name for kind, name in _KINDS if isinstance(value, kind))
    return next(kinds, type(value).__name__)


def differences(v2: Answer, bridge: Answer) -> list[Difference]:
    """Return in what the bridge's answer is not v2's, in the order of the body.

    A null, and an array without elements, tell nothing of what else may stand there.
    """
    return list(islice(_differences(v2, bridge), MOST))


def _differences(v2: Answer, bridge: Answer) -> Iterator[Difference]:
    if v2.status != bridge.status:
        yield Difference("status", str(v2.status), str(bridge.status))
    if v2.is_json and bridge.is_json:
        yield from _between(shape_of([v2.body]), shape_of([bridge.body]), "$")
    elif v2.kind != bridge.kind:
        yield Difference("type", v2.kind or _MISSING, bridge.kind or _MISSING)


def _between(v2: Shape, bridge: Shape, where: str) -> Iterator[Difference]:
    known, ours = v2.kinds - {_NULL}, bridge.kinds - {_NULL}
    if known and ours and not ours <= known:
        yield Difference(where, v2.told(), bridge.told())
    elif known and not ours and bridge.kinds:
        yield Difference(where, v2.told(), _NULL, breaks=False)
    if "object" in known & ours:
        for name in sorted({*v2.fields, *bridge.fields}):
            yield from _of_field(v2, bridge, name, where)
    if v2.items and bridge.items:
        yield from _between(v2.items, bridge.items, f"{where}[]")


def _of_field(v2: Shape, bridge: Shape, name: str, where: str) -> Iterator[Difference]:
    place = f"{where}.{name if _PLAIN.fullmatch(name) else '*'}"
    theirs, ours = v2.fields.get(name), bridge.fields.get(name)
    if theirs is None and ours is not None:
        yield Difference(place, _MISSING, ours.told(), breaks=False)
    elif theirs is not None and ours is None:
        yield Difference(place, theirs.told(), _MISSING, breaks=name in v2.always)
    elif theirs is not None and ours is not None:
        if name in v2.always and name not in bridge.always:
            yield Difference(place, theirs.told(), f"{ours.told()}, or {_MISSING}")
        yield from _between(theirs, ours, place)


def breaking(found: Iterable[Difference]) -> bool:
    """Tell whether any of these may break a client."""
    return any(one.breaks for one in found)
