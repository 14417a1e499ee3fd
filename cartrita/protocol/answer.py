"""What a task type declares about its answers: who else may be given one, and what it must be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cacheable:
    """An answer that may be given again to whoever asks the same, within a tenant.

    Attributes:
        seconds: How long; the settings' time by default.
        text: The parameter that may also be only alike in meaning, with all others equal.
        when: Tells of parameters and the task's context whether it holds for them; by default
            it always does.
    """

    seconds: float | None = None
    text: str | None = None
    when: Callable[[Any, Any], bool] | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and self.seconds <= 0:
            raise TypeError(f"An answer is kept for > 0 seconds, not {self.seconds!r}")

    @classmethod
    def of(cls, declared: "bool | float | Cacheable") -> "Cacheable | None":
        """Read the short forms: whether at all, or for how many seconds."""
        if isinstance(declared, Cacheable):
            return declared
        if isinstance(declared, bool):
            return cls() if declared else None
        return cls(seconds=declared)


@dataclass(frozen=True, slots=True)
class Gate:
    """What an answer must be to leave.

    Attributes:
        text: The field of the result in which a model's own words stand.
        confidence: Where in the result it says how sure it is, such as `labels.0.score`.
        least: The least that must be, from 0 to 1; a caller may ask for more.
        refusals: Whether a model's refusal is an answer here, as in a conversation.
        quotes: Whether its words are somebody else's, as a translation's are: then their tone
            is not judged.
    """

    text: str | None = None
    confidence: str | None = None
    least: float = 0.0
    refusals: bool = False
    quotes: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1 or (self.least and self.confidence is None):
            raise TypeError(f"0 <= least <= 1, and it needs to know the confidence: {self!r}")
