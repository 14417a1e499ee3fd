"""What agents may ask about texts as such."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cartrita.providers.ports import ModelInfo


@dataclass(frozen=True, slots=True)
class Spoken:
    """A language that a text may be in.

    Attributes:
        language: As ISO 639 has it, such as `de`; of two letters where there are such.
        confidence: From 0 to 1; those of all languages sum to 1.
    """

    language: str
    confidence: float


class LanguageDetector(Protocol):
    """Tells which language a text is in."""

    info: ModelInfo

    async def detect(self, text: str) -> Sequence[Spoken]:
        """Return the likeliest languages, at most five, likeliest first."""
