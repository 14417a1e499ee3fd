"""What is known about language models beside their price, from a table."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cartrita.cost.book import bare, family


@dataclass(frozen=True, slots=True)
class Traits:
    """A family of models, judged before any of them was called here.

    Attributes:
        quality: From 0 to 1, against the others.
        safety: The same.
        seconds: What a short answer takes.
        cheaper: The family to fall down to near the end of a budget.
        provider: Who made it, and serves it unless a compatible server does.
    """

    quality: float
    safety: float
    seconds: float
    cheaper: str | None = None
    provider: str = "openai"


@dataclass(frozen=True, slots=True)
class TraitBook:
    """Traits by the name of a family."""

    unknown: Traits
    models: Mapping[str, Traits]

    def traits(self, model: str) -> Traits:
        """Return what is known of a model, whatever stands before or behind its family."""
        return self.models.get(family(model, self.models) or "", self.unknown)

    def rungs(self, model: str) -> tuple[str, ...]:
        """Return the cheaper models below one, the nearest first, named as it is named."""
        found: list[str] = []
        known = family(model, self.models)
        prefix = model[: len(model) - len(bare(model))]
        below = self.models[known].cheaper if known else None
        while below and below not in found:
            found.append(below)
            below = self.models[below].cheaper
        return tuple(prefix + name for name in found)


@cache
def trait_book() -> TraitBook:
    """Return the table that ships with this version."""
    table = tomllib.loads(files("cartrita.cost").joinpath("models.toml").read_text("utf-8"))
    models = {name: Traits(**row) for name, row in table["models"].items()}
    return TraitBook(Traits(**table["unknown"]), models)
