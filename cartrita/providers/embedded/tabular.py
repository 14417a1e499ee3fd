"""Turns JSON rows into typed columns, and a query's values back into JSON."""

import base64
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

EXACT_INTEGER = 2**53
"""Beyond it, many JSON readers round; such numbers travel as text."""

EXACT_DIGITS = 15
"""Decimal digits that a double keeps."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(?P<zone>Z|[+-]\d\d:\d\d)?")


@dataclass(frozen=True, slots=True)
class Column:
    """A column ready for loading.

    Attributes:
        type: In DuckDB's words.
        values: As text that casts to `type`.
    """

    name: str
    type: str
    values: list[str | None]


def columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return the union of the rows' keys as columns, in order of first appearance."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [_column(name, [_finite(row.get(name)) for row in rows]) for name in names]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _column(name: str, values: list[Any]) -> Column:
    kind = _kind([value for value in values if value is not None])
    if kind == "JSON":
        texts = [None if value is None else json.dumps(value) for value in values]
    else:
        texts = [None if value is None else _text(value) for value in values]
    return Column(name, kind, texts)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _kind(values: list[Any]) -> str:
    """Return the narrowest type that holds all values."""
    types = {type(value) for value in values}
    if types & {list, dict}:
        return "JSON"
    if types == {bool}:
        return "BOOLEAN"
    if types == {int}:
        return _whole(max(values, key=abs))
    if types in ({float}, {int, float}):
        return "DOUBLE"
    return _moment(values) if types == {str} else "VARCHAR"


def _whole(largest: int) -> str:
    bits = largest.bit_length()
    return "BIGINT" if bits < 64 else "HUGEINT" if bits < 128 else "VARCHAR"  # noqa: PLR2004 - their widths


def _moment(texts: list[str]) -> str:
    """Return the type of dates or times in ISO 8601, when all of them are."""
    if all(map(_DATE.fullmatch, texts)):
        return "DATE" if _reads(date.fromisoformat, texts) else "VARCHAR"
    matches = [_MOMENT.fullmatch(text) for text in texts]
    zoned = {bool(match and match["zone"]) for match in matches}
    if not all(matches) or len(zoned) > 1 or not _reads(datetime.fromisoformat, texts):
        return "VARCHAR"
    return "TIMESTAMPTZ" if True in zoned else "TIMESTAMP"


def _reads(parse: Any, texts: Iterable[str]) -> bool:
    try:
        for text in texts:
            parse(text)
    except ValueError:  # 30 February
        return False
    return True


def jsonable(value: Any) -> Any:
    """Return a query's value as JSON.

    Times are ISO 8601; NaN and infinities null; bytes base64. Whole numbers beyond 2^53 and
    decimals of more than 15 digits are text, so that no reader rounds them. Intervals, UUIDs
    and what else there is are text as well.
    """
    for kinds, written in _WRITERS:
        if isinstance(value, kinds):
            return written(value)
    return value if value is None else str(value)


def _integer(value: int) -> int | str:
    return value if abs(value) <= EXACT_INTEGER else str(value)


def _decimal(value: Decimal) -> float | str | None:
    if not value.is_finite():
        return None
    return float(value) if len(value.normalize().as_tuple().digits) <= EXACT_DIGITS else str(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(jsonable(key))


_WRITERS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((str, bool), lambda value: value),
    (int, _integer),
    (float, _finite),
    (Decimal, _decimal),
    ((date, time), lambda value: value.isoformat()),  # a datetime is a date
    ((bytes, bytearray), lambda value: base64.b64encode(value).decode()),
    (dict, lambda value: {_key(key): jsonable(item) for key, item in value.items()}),
    ((list, tuple), lambda value: [jsonable(item) for item in value]),
)
