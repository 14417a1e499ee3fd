"""JSON or MessagePack that means the same to everybody, or a refusal that names the field."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar

import msgpack
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from cartrita.errors import InvalidMessage, InvalidParameters
from cartrita.protocol.wire import field_errors

Model = TypeVar("Model", bound=BaseModel)

LEAST, MOST = -(1 << 63), (1 << 64) - 1
"""What MessagePack, and so everything behind the doors, has whole numbers for."""

SAFE_DIGITS = 18
"""As many digits and a sign always fit."""

MANY = 100
"""More wrong fields are counted, not listed: each one costs 6 µs of the event loop."""


TAKE_BYTES = ("parameters", "tasks")
"""Fields in which MessagePack may have bytes, for which JSON has no form."""


class Packed(bytes):
    """A body in MessagePack."""

    __slots__ = ()


def parse(model: type[Model], body: bytes) -> Model:
    """Read a body of JSON, or of MessagePack when it is `Packed`, into a model, strictly.

    Raises:
        InvalidMessage: It is not JSON on which all readers agree (RFC 7493): malformed, NaN,
            nested deeper than 200, not UTF-8, or with a name twice in one object. MessagePack
            is held to the same.
        InvalidParameters: A field is missing, unknown, of another type, or out of range.
    """
    return read(model, _unpacked(body)) if isinstance(body, Packed) else _parse(model, body)


def read(model: type[Model], value: Any) -> Model:
    """Read plain values into a model as if they were JSON; bytes stay what they are.

    Raises:
        InvalidMessage: They have no JSON form.
        InvalidParameters: As `parse`; or there are bytes where none are taken.
    """
    try:
        body = to_json(value, bytes_mode="base64")
    except ValueError as error:
        raise InvalidMessage(f"The body has no JSON form: {error}.") from None
    parsed = _parse(model, body)
    binary = [name for name, item in value.items() if _holds_bytes(item)]
    wrong = [name for name in binary if name not in TAKE_BYTES]
    if wrong:
        raise InvalidParameters(
            f"{wrong[0]!r} takes no bytes.", fields=[(name, "takes no bytes") for name in wrong]
        )
    return parsed.model_copy(update={name: value[name] for name in binary}) if binary else parsed


def values(body: bytes) -> Any:
    """Read plain values out of JSON, as strictly as `parse`; raises as it does."""
    try:
        found = from_json(body, allow_inf_nan=False)
        _CHECKER.raw_decode(body.decode().strip())
    except _OutOfRange as error:
        fields = [(path, f"is beyond {error}") for path in _beyond(from_json(body))]
        raise InvalidParameters(f"A number is beyond {error}.", fields=fields[:MANY]) from None
    except ValueError as error:
        raise InvalidMessage(f"The body is not JSON: {error}.") from None
    return found


def _holds_bytes(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_bytes, value.values()))
    if isinstance(value, list):
        return any(map(_holds_bytes, value))
    return isinstance(value, bytes)


def _unpacked(body: bytes) -> Any:
    try:
        return msgpack.unpackb(body, object_pairs_hook=_pairs, ext_hook=_no_extension)
    except (ValueError, msgpack.UnpackException) as error:
        said = str(error) or type(error).__name__
        raise InvalidMessage(f"The body is not MessagePack: {said}.") from None


def _no_extension(kind: int, _data: bytes) -> Any:
    raise ValueError(f"nobody knows the extension {kind}")


def _pairs(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    if not all(isinstance(name, str) for name, _ in pairs):
        raise ValueError("the names in a map must be texts")
    _unique(pairs)
    return dict(pairs)


def _parse(model: type[Model], body: bytes) -> Model:
    try:
        parsed = model.model_validate_json(body, strict=True)
        _CHECKER.raw_decode(body.decode().strip())
    except ValidationError as error:
        raise _refusal(error) from None
    except _OutOfRange as error:
        fields = [(path, f"is beyond {error}") for path in _beyond(from_json(body))]
        raise InvalidParameters(f"A number is beyond {error}.", fields=fields[:MANY]) from None
    except ValueError as error:
        raise InvalidMessage(f"The body is not JSON: {error}.") from None
    return parsed


def _refusal(error: ValidationError) -> InvalidMessage | InvalidParameters:
    count = error.error_count()
    if count > MANY:
        said = f"is wrong in {count} places"
        return InvalidParameters(f"The request {said}.", fields=[("body", said)])
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return InvalidMessage(f"The body is not JSON: {first['ctx']['error']}.")
    fields = field_errors(error)
    names = ", ".join(field.field for field in fields[:5])
    return InvalidParameters(f"The request does not fit: see {names}.", fields=fields)


class _OutOfRange(Exception):
    """A number is beyond what the text says."""


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise InvalidMessage(
            f"The name {name!r} appears twice in one object.", fields=[(name, "appears twice")]
        )


def _whole(digits: str) -> None:
    if len(digits) <= SAFE_DIGITS:
        return
    if len(digits) > SAFE_DIGITS + 2 or not LEAST <= int(digits) <= MOST:
        raise _OutOfRange("64 bits")


def _real(digits: str) -> None:
    if math.isinf(float(digits)):
        raise _OutOfRange("double precision")


def _constant(name: str) -> None:
    raise ValueError(f"{name!r} is no number of JSON's")


# Builds nothing, only looks: pydantic's own reader lets all of this pass. It runs after that
# one, so what it sees is well-formed and not deep. 2 µs for a small body.
_CHECKER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_whole, parse_float=_real, parse_constant=_constant
)


def _beyond(value: Any, path: str = "") -> Iterator[str]:
    """Yield where the numbers out of range stand."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _beyond(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _beyond(item, f"{path}.{place}")
    elif isinstance(value, int | float) and not _fits(value):
        yield path


def _fits(number: float) -> bool:
    return LEAST <= number <= MOST if isinstance(number, int) else math.isfinite(number)
