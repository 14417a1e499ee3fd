"""Knows which models there are, and which answers of theirs are kept."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from cartrita.agency.purpose import purpose_of
from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task
from cartrita.protocol.text import Prose
from cartrita.protocol.wire import WireModel
from cartrita.providers.offer import Offer, Offered, shortlist

LOW, MEDIUM = 0.003, 0.03
"""USD for 1,000 tokens in and as many out, up to which a model is called that."""

CostTier = Literal["free", "low", "medium", "high"]


class CatalogParams(Params):
    """Which models to list."""

    kind: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Only those for this, such as `summarization`."
    )
    available_only: bool = False


class ModelEntry(WireModel):
    """A model."""

    index: int = Field(description="From 0.")
    name: str = Field(description="As it is named in `model`.")
    provider: str
    kinds: list[str] = Field(description="What it does, as Hugging Face calls it.")
    available: bool
    default: bool = Field(description="Whether it answers where none is named.")
    generative: bool
    needs: str | None = Field(default=None, description="What would make it available.")
    cost_tier: CostTier | None = Field(default=None, description="Absent where no price is known.")
    usd_in: float | None = None
    usd_out: float | None = Field(default=None, description="For 1,000 tokens, as is `usdIn`.")
    quality: float | None = Field(default=None, description="From 0 to 1, by judgement.")
    seconds: float | None = Field(default=None, description="What a short answer takes.")
    limitations: list[str] | None = None


class ProviderEntry(WireModel):
    """A provider and its models."""

    key: str
    configured: bool
    setting: str | None = Field(default=None, description="What would configure it.")
    kinds: list[str]
    models: list[str]


class CatalogResult(Result):
    """What there is."""

    models: list[ModelEntry]
    providers: list[ProviderEntry]
    prices_as_of: str


class ShortlistParams(Params):
    """A request."""

    prompt: Annotated[Prose, Field(max_length=32_000)]
    most: int = Field(default=6, ge=1, le=50)


class ShortlistResult(Result):
    """What the request asks for, by its words, and the models that suit it, best first."""

    purpose: str
    matched: str | None = Field(default=None, description="The words that say so.")
    shortlist: list[ModelEntry]


class Models(Agent, team="intelligence", concurrency=8):
    """Lists the models that can be named, and says which suit a request."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer

    @task("models.catalog", timeout=15, idempotent=True, example={})
    async def catalog(self, params: CatalogParams, ctx: Context) -> CatalogResult:
        """List models and providers: those of the settings, of the price table, and built in."""
        found = await ctx.in_thread(self._offer.models)
        kept = [
            one
            for one in found
            if (params.kind is None or params.kind in one.kinds)
            and (one.available or not params.available_only)
        ]
        providers = [
            ProviderEntry(
                key=provider.key,
                configured=provider.configured,
                setting=provider.setting or None,
                kinds=sorted(
                    {kind for one in found if one.provider == provider.key for kind in one.kinds}
                ),
                models=[one.name for one in found if one.provider == provider.key],
            )
            for provider in self._offer.providers
        ]
        return CatalogResult(
            models=_entries(kept), providers=providers, prices_as_of=self._offer.prices_as_of
        )

    @task(
        "models.shortlist",
        timeout=15,
        idempotent=True,
        example={"prompt": "Summarise this report in two sentences.", "most": 3},
    )
    async def shortlist(self, params: ShortlistParams, ctx: Context) -> ShortlistResult:
        """Tell what a request asks for, by rules, and which chat models suit it best.

        They are weighed as the model `auto` weighs them; those that nobody may ask come last.
        """
        purpose = purpose_of(params.prompt)
        found = await ctx.in_thread(self._offer.models)
        return ShortlistResult(
            purpose=purpose.name,
            matched=purpose.words or None,
            shortlist=_entries(shortlist(params.prompt, found, params.most)),
        )


def _entries(models: Sequence[Offered]) -> list[ModelEntry]:
    return [_entry(index, one) for index, one in enumerate(models)]


def _entry(index: int, one: Offered) -> ModelEntry:
    price, traits = one.price, one.traits
    return ModelEntry(
        index=index,
        name=one.name,
        provider=one.provider,
        kinds=list(one.kinds),
        available=one.available,
        default=one.default,
        generative=one.generative,
        needs=one.needs or None,
        cost_tier=_tier(one),
        usd_in=float(price.prompt) if price else None,
        usd_out=float(price.completion) if price else None,
        quality=traits.quality if traits else None,
        seconds=traits.seconds if traits else None,
        limitations=list(one.limitations) or None,
    )


def _tier(one: Offered) -> CostTier | None:
    if one.provider == "embedded":
        return "free"
    if one.price is None:
        return None
    usd = float(one.price.prompt + one.price.completion)
    return "low" if usd <= LOW else "medium" if usd <= MEDIUM else "high"
