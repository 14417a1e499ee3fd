"""What a task may still spend on language models."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from cartrita.context import Usage
from cartrita.cost.price import Price
from cartrita.errors import InsufficientBudget
from cartrita.protocol.task import Budget

LEAST_ANSWER = 16
"""Tokens below which an answer is not worth its prompt."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The smaller of the declared ceiling and the caller's budget, less what was used.

    A task's ceiling is reserved before it starts. Metering alone would notice an overdraft
    when the money is gone, so every call's answer is limited to what is left for it.
    """

    usd: Decimal
    tokens: int

    @classmethod
    def left(cls, ceiling: Price, budget: Budget | None, usages: Iterable[Usage]) -> "Allowance":
        """Return what is left of a ceiling and a budget after some uses."""
        usd, tokens = ceiling.max_usd, ceiling.max_tokens
        if budget and budget.max_usd is not None:
            usd = min(usd, Decimal(str(budget.max_usd)))
        if budget and budget.max_tokens is not None:
            tokens = min(tokens, budget.max_tokens)
        usd -= ceiling.usd  # charged in the end, whatever the models cost
        for usage in usages:
            usd -= usage.usd
            tokens -= usage.tokens_in + usage.tokens_out
        return cls(usd, tokens)

    def answer_tokens(self, prompt_tokens: int, price_in: Decimal, price_out: Decimal) -> int:
        """Return how long the answer to a prompt may become; prices per 1,000 tokens.

        Raises:
            InsufficientBudget: Too little is left for the prompt and a short answer.
        """
        longest = self.tokens - prompt_tokens
        money = self.usd - price_in * prompt_tokens / 1000
        if price_out:
            longest = min(longest, int(money * 1000 / price_out))
        if money < 0 or longest < LEAST_ANSWER:
            raise InsufficientBudget(
                f"A prompt of about {prompt_tokens} tokens does not fit what is left of this "
                f"task's ceiling, {self.usd} USD and {self.tokens} tokens. Shorten the history, "
                "name a cheaper model, or raise the budget."
            )
        return longest
