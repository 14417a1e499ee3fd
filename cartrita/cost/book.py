"""What language models cost, from a dated table."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple


class TokenPrice(NamedTuple):
    """USD per 1,000 tokens."""

    prompt: Decimal
    completion: Decimal


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Token prices by model name.

    Attributes:
        as_of: When the prices were written down; providers change theirs.
        fallback: The model whose price an unknown one is charged.
    """

    as_of: date
    fallback: str
    models: Mapping[str, TokenPrice]

    def price(self, model: str, instead: str | None = None) -> TokenPrice:
        """Return the price of a model; unknown ones cost what the fallback costs.

        A dated or qualified name costs what its family costs: `openai/gpt-4o-2024-08-06`
        is a `gpt-4o`.

        Args:
            model: Its name.
            instead: Whose price an unknown one has in place of the fallback's.
        """
        return self.models[family(model, self.models) or instead or self.fallback]

    def over(self, other: "PriceBook") -> "PriceBook":
        """Return both, this one's entries before the other's.

        Raises:
            ValueError: Neither has a price for the fallback.
        """
        models, fallback = {**other.models, **self.models}, self.fallback or other.fallback
        if fallback not in models:
            raise ValueError(f"there is no price for the fallback {fallback!r}")
        return PriceBook(self.as_of, fallback, models)


def bare(model: str) -> str:
    """Return a model's name without the provider or owner before it."""
    return model[max(model.rfind("/"), model.find(":")) + 1 :]


def family(model: str, known: Iterable[str]) -> str | None:
    """Return which known name a model's dated or qualified one belongs to."""
    name = bare(model).lower()
    families = [one for one in known if name == one or name.startswith(f"{one}-")]
    return max(families, key=len, default=None)


@cache
def price_book() -> PriceBook:
    """Return the table that ships with this version."""
    return read_book(files("cartrita.cost").joinpath("prices.toml").read_text("utf-8"))


def read_book(text: str) -> PriceBook:
    """Read a table in TOML.

    Raises:
        ValueError: It has not that form, or an entry is missing or no price.
    """
    table = tomllib.loads(text)
    as_of, models = table.get("as_of"), table.get("models", {})
    if not isinstance(as_of, date) or not isinstance(models, dict):
        raise ValueError("it needs `as_of`, a date, and `models`, a table")  # noqa: TRY004
    read = {name.lower(): _price(name, row) for name, row in models.items()}
    return PriceBook(as_of, str(table.get("fallback", "")), read)


def _price(name: str, row: dict[str, Any]) -> TokenPrice:
    try:
        price = TokenPrice(prompt=Decimal(row["in"]), completion=Decimal(row["out"]))
    except (KeyError, TypeError, ArithmeticError):
        raise ValueError(f"{name!r} needs `in` and `out`, USD for 1,000 tokens as text") from None
    if not all(one.is_finite() and one >= 0 for one in price):
        raise ValueError(f"{name!r} has a price that is none")
    return price
