"""What is shown of a secret, and what its owner may choose of that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cartrita.errors import InvalidParameters
from cartrita.protocol.wire import field_errors

MARKS = 8
"""Always as many, so that a mask does not tell how long the secret is."""

LONGEST = 100_000


class Preferences(BaseModel):
    """How somebody wants their secrets shown.

    Attributes:
        reveal_timeout: Seconds for which a reveal token is good.
        mask_pattern: What stands for the hidden part, repeated.
        show_last_chars: Of a secret that is long enough.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    default_visibility: Literal["visible", "masked", "hidden"] = "masked"
    reveal_timeout: Annotated[int, Field(strict=True, ge=10, le=300)] = 30
    require_confirmation: bool = True
    audit_access: Literal[True] = True
    mask_pattern: Annotated[str, Field(min_length=1, max_length=8, pattern=r"^[^\w\s]+$")] = "*"
    show_last_chars: Annotated[int, Field(strict=True, ge=0, le=8)] = 4


def preferences_of(chosen: Mapping[str, Any], before: Preferences | None = None) -> Preferences:
    """Return preferences with what somebody chose anew.

    Raises:
        InvalidParameters: Something of it cannot be chosen; access is always noted.
    """
    try:
        return Preferences.model_validate({**(before or Preferences()).model_dump(), **chosen})
    except ValidationError as error:
        fields = field_errors(error)
        told = "; ".join(f"{name}: {text}" for name, text in fields)
        raise InvalidParameters(f"These preferences cannot be: {told}.", fields=fields) from None


@dataclass(frozen=True, slots=True)
class Mask:
    """How secrets are hidden."""

    pattern: str = "*"
    last: int = 4

    @classmethod
    def of(cls, chosen: Preferences) -> "Mask":
        """Return the mask that somebody chose; `hidden` shows nothing at all."""
        last = 0 if chosen.default_visibility == "hidden" else chosen.show_last_chars
        return cls(chosen.mask_pattern, last)

    def over(self, secret: str) -> str:
        """Return a secret with all but its end hidden; a short one has no end to show."""
        hidden = (self.pattern * MARKS)[:MARKS]
        shown = self.last if len(secret) >= 4 * self.last else 0
        return hidden + (secret[-shown:] if shown else "")
