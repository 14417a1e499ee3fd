"""What an embedder costs that texts leave for, and what is reserved for that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cartrita.cost.price import Price

MARKS = 2
"""Tokens that a model may put around a text."""

USUALLY_READ = 32_768
"""Tokens that a model of which nothing is known reads of one text, where texts are not at hand."""


@dataclass(frozen=True, slots=True)
class Fee:
    """What it costs to embed texts.

    Attributes:
        usd: Returns USD per 1,000 tokens; the price book may have been changed.
        reads: Tokens that the model reads of one text; None where that is not known.
        calls: How often a text may be sent at once, and paid.
    """

    usd: Callable[[], Decimal]
    reads: int | None = None
    calls: int = 1

    def price(self, tokens: int) -> Decimal:
        """Return USD for so many tokens."""
        return self.usd() * tokens / 1000

    def worst(self, texts: Sequence[str]) -> int:
        """Return the most tokens that texts can be counted as: one for each byte.

        What stands for the shortest e-mail address is a byte longer than that.
        """
        return self.calls * sum(map(self._worst, texts))

    def _worst(self, text: str) -> int:
        tokens = len(text.encode("utf-8", "replace")) + text.count("@") + MARKS
        return min(tokens, self.reads) if self.reads else tokens

    def reserve(self, cost: Price, params: Any | None) -> tuple[Decimal, int]:
        """Return what is reserved beside a task's own price: USD, and tokens.

        Args:
            cost: As the task declares it.
            params: Its parameters; None where they are not at hand.
        """
        if cost.embeds is None:
            return Decimal(0), 0
        if params is None:
            tokens = cost.most_texts * self.calls * (self.reads or USUALLY_READ)
        else:
            tokens = self.worst(cost.embeds(params))
        return self.price(tokens), tokens
