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

    def price(self, model: str) -> TokenPrice:
        """Return the price of a model; unknown ones cost what the fallback costs.

        A dated or qualified name costs what its family costs: `openai/gpt-4o-2024-08-06`
        is a `gpt-4o`.
        """
        return self.models[family(model, self.models) or self.fallback]


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
    table = tomllib.loads(files("cartrita.cost").joinpath("prices.toml").read_text("utf-8"))
    return PriceBook(
        as_of=table["as_of"],
        fallback=table["fallback"],
        models={name: _price(row) for name, row in table["models"].items()},
    )


def _price(row: dict[str, Any]) -> TokenPrice:
    return TokenPrice(prompt=Decimal(row["in"]), completion=Decimal(row["out"]))
