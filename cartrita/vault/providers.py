"""Whose keys may be kept, out of `providers.toml`."""

import json
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from cartrita.errors import InvalidParameters, NotFound

FILE = Path(__file__).with_name("providers.toml")
LONGEST = 16_384
"""Characters of a value: a service account's file has some 2,400."""


class Check(BaseModel):
    """A question that only a good key is answered.

    Attributes:
        value: Of the header; `{key}` stands for the key.
        more: Other headers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    header: str
    value: str
    more: Mapping[str, str] = {}


class Provider(BaseModel):
    """Whose keys may be kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    display_name: str
    description: str
    icon: str
    category: str
    documentation_url: str
    default_base_url: str
    required_fields: tuple[str, ...]
    validation_pattern: str
    key_format_example: str
    check: Check | None = None

    def fits(self, value: str) -> bool:
        """Tell whether a value, as it is kept, looks like a key of this provider."""
        first = fields_of(self, value).get(self.required_fields[0], "")
        return len(value) <= LONGEST and re.search(self.validation_pattern, first) is not None


@cache
def providers() -> Mapping[str, Provider]:
    """Return the built-in ones by their ids."""
    rows = tomllib.loads(FILE.read_text(encoding="utf-8"))["provider"]
    return {row["id"]: Provider.model_validate(row) for row in rows}


def provider_of(provider_id: str) -> Provider:
    """Return a provider.

    Raises:
        NotFound: There is none of that id.
    """
    found = providers().get(provider_id)
    if found is None:
        raise NotFound(
            f"There is no provider {provider_id!r}; GET /api/vault/providers lists them."
        )
    return found


def fields_of(provider: Provider, value: str) -> Mapping[str, str]:
    """Return what a kept value holds, by the names of its fields."""
    if len(provider.required_fields) == 1:
        return {provider.required_fields[0]: value}
    return _object(value) or {provider.required_fields[0]: value}


def _object(text: str) -> dict[str, str]:
    try:
        found = json.loads(text) if text.startswith("{") else {}
    except (ValueError, RecursionError):
        return {}
    return {str(k): v for k, v in found.items() if isinstance(v, str)}


def value_of(provider: Provider, credentials: Mapping[str, Any]) -> str:
    """Return what is kept of credentials that come field by field.

    Raises:
        InvalidParameters: A field is missing, or is no text.
    """
    texts = {name: v for name, v in credentials.items() if isinstance(v, str) and v}
    missing = [name for name in provider.required_fields if name not in texts]
    if missing == ["api_key"] and len(texts) == 1:  # v2's front end names the only one as it likes
        return next(iter(texts.values()))
    if missing:
        fields = [(f"credential_data.{name}", "is missing") for name in missing]
        raise InvalidParameters(
            f"{provider.display_name} needs {', '.join(missing)}.", fields=fields
        )
    if len(provider.required_fields) == 1:
        return texts[provider.required_fields[0]]
    return json.dumps(texts, sort_keys=True)


def suits(provider: Provider, value: str) -> None:
    """Check that a value looks like a key of a provider's.

    Raises:
        InvalidParameters: It does not; the words do not hold it.
    """
    if not provider.fits(value):
        wrong = (
            f"does not look like a key of {provider.display_name} ({provider.key_format_example})"
        )
        raise InvalidParameters(f"'key_value' {wrong}.", fields=[("key_value", wrong)])
