"""What one run of a task may cost at worst, declared beside the task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

NANO = Decimal(10) ** 9
"""Money is stored in whole billionths of a dollar: token prices have that many places."""


_SURE = 12
"""Places of a float that still mean something, up to a thousand dollars."""


def nano(usd: Decimal | float) -> int:
    """Return USD as billionths, rounded up: a budget may be charged too much, never too little."""
    if isinstance(usd, float):
        usd = round(usd, _SURE)  # sums of floats are off in the last places
    exact = (Decimal(str(usd)) * NANO).normalize()
    whole = int(exact)
    return whole + (exact > whole)


@dataclass(frozen=True, slots=True)
class Price:
    """A declared price.

    Attributes:
        usd: Charged for each completed run.
        max_tokens: The most tokens a run may use, reserved before it starts.
        max_usd: What is reserved before a run starts; at least `usd`.
        embeds: The texts of its parameters that are embedded. Where that is paid, it is reserved
            and metered on top.
        most_texts: How many those are at most.
    """

    usd: Decimal = Decimal(0)
    max_tokens: int = 0
    max_usd: Decimal = Decimal(0)
    embeds: Callable[[Any], Sequence[str]] | None = field(default=None, compare=False)
    most_texts: int = 0
    max_nano: int = field(init=False, repr=False)
    """`max_usd` as it is journaled, computed once: every admission asks for it."""

    def __post_init__(self) -> None:
        if self.usd < 0 or self.max_tokens < 0 or self.max_usd < self.usd:
            raise TypeError(f"A price needs 0 <= usd <= max_usd and max_tokens >= 0, not {self!r}")
        object.__setattr__(self, "max_nano", nano(self.max_usd))


def free() -> Price:
    """Return the price of work that costs nothing."""
    return Price()


def per_call(usd: str) -> Price:
    """Return a fixed price in USD for each completed call, such as `per_call("0.001")`."""
    return Price(usd=Decimal(usd), max_usd=Decimal(usd))


def metered(max_usd: str, max_tokens: int) -> Price:
    """Return a price that is metered while the task runs, up to a ceiling."""
    return Price(max_usd=Decimal(max_usd), max_tokens=max_tokens)


def per_call_and_metered(usd: str, max_usd: str, max_tokens: int) -> Price:
    """Return a fixed price with room for the tokens of a model beside it."""
    return Price(Decimal(usd), max_tokens, Decimal(usd) + Decimal(max_usd))


def and_embedding(
    price: Price, texts: Callable[[Any], Sequence[str]], *, most_texts: int = 1
) -> Price:
    """Return a price with room for vectors of some texts, where those have to be paid.

    Args:
        price: Of everything else.
        texts: Returns those texts of the task's parameters.
        most_texts: How many those are at most.
    """
    return replace(price, embeds=texts, most_texts=most_texts)
