"""Embeds texts for a task: nothing personal leaves, and what it costs is held and charged."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from cartrita.context import MOST_TOKENS, MOST_USD, Context, Usage
from cartrita.cost.allowance import Allowance
from cartrita.cost.price import Price, free
from cartrita.errors import InsufficientBudget
from cartrita.providers.ports import Embedder, Vectors
from cartrita.providers.ports_embedding import FarEmbedder
from cartrita.telemetry import genai

LONG = 4_096
"""Characters that take a few milliseconds to look through."""


async def embedded(
    embedder: Embedder, texts: Sequence[str], ctx: Context, cost: Price | None = None
) -> Vectors:
    """Return one row per text, in order, and meter that.

    Args:
        embedder: Whichever is configured.
        texts: As they are; an embedder elsewhere is sent them without personal data.
        ctx: The task.
        cost: What the task declares, where it has a fixed price: that is not there to be spent.

    Raises:
        InsufficientBudget: At worst they do not fit what the task may still spend.
        InvalidParameters: They hold personal data, and the settings refuse that.
    """
    began = ctx.clock.monotonic()
    model = embedder.info.model
    if not isinstance(embedder, FarEmbedder):
        vectors = await embedder.embed(texts)
        took = ctx.clock.monotonic() - began
        genai.called("embeddings", embedder.info.provider, model, took)
        ctx.spent(Usage(model, seconds=took))
        return vectors
    sent = await _faceless(texts, ctx)
    held = _held(embedder, sent, ctx, cost or free())
    ctx.usages.append(held)  # for whatever else the task does meanwhile
    try:
        made = await embedder.ask(sent)
    except BaseException as error:
        took = ctx.clock.monotonic() - began
        genai.called("embeddings", embedder.info.provider, model, took, error=genai.name_of(error))
        ctx.note(Usage(model, seconds=took, failed=True))
        raise
    finally:
        ctx.usages.remove(held)
    usd, took = embedder.fee.price(made.tokens), ctx.clock.monotonic() - began
    genai.called("embeddings", embedder.info.provider, model, took)
    genai.used("embeddings", embedder.info.provider, model, made.tokens)
    ctx.spent(Usage(model, made.tokens, 0, usd, took))
    if not made.told:
        ctx.warn("The provider of the vectors reports no usage; tokens and cost are estimates.")
    return made.vectors


async def _faceless(texts: Sequence[str], ctx: Context) -> list[str]:
    """Return texts as they may leave; where they are long, nobody waits for that."""

    def work() -> list[str]:
        return [ctx.privacy.faceless(text) for text in texts]

    return work() if sum(map(len, texts)) < LONG else await asyncio.to_thread(work)


def _held(embedder: FarEmbedder, texts: Sequence[str], ctx: Context, cost: Price) -> Usage:
    """Return what texts cost at worst.

    Raises:
        InsufficientBudget: The task has not so much left of what was reserved for it.
    """
    fee = embedder.fee
    worst = fee.worst(texts)
    held = Usage(embedder.info.model, worst, 0, fee.price(worst))
    left = Allowance.left(Price(cost.usd, MOST_TOKENS, MOST_USD), ctx.budget, ctx.usages)
    if held.tokens_in > left.tokens or held.usd > max(left.usd, Decimal(0)):
        raise InsufficientBudget(
            f"Embedding {len(texts)} texts may take {worst} tokens and {held.usd} USD; of what "
            f"this task may spend {left.tokens} tokens and {left.usd} USD are left. Send less "
            "text, or raise the budget."
        )
    return held
