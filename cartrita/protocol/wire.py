"""The base of every model that outsiders send or receive."""

from hashlib import blake2b
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from cartrita.errors import FieldError

MOST_ERRORS = 100


class WireModel(BaseModel):
    """camelCase on the wire, snake_case accepted, unknown fields refused, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON values under their wire names, without unset optionals."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def digest_of(model: BaseModel) -> str:
    """Return what tells a model's values from others, in 16 hexadecimal digits."""
    return blake2b(model.model_dump_json().encode(), digest_size=8).hexdigest()


def field_errors(error: ValidationError, prefix: str = "") -> list[FieldError]:
    """Turn a validation error into field names as the client wrote them.

    More than `MOST_ERRORS` become one: a body of nothing but unknown fields must not keep the
    event loop busy.
    """
    if error.error_count() > MOST_ERRORS:
        return [FieldError(f"{prefix}*", f"{error.error_count()} fields are wrong")]
    found = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        path = ".".join(str(part) for part in item["loc"]) or "body"
        found.append(FieldError(f"{prefix}{path}", item["msg"]))
    return found
