"""Remembers texts and finds them again."""

import json
from typing import Annotated, Self
from uuid import UUID, uuid5

from pydantic import Field, model_validator

from cartrita.clock import iso
from cartrita.context import Context
from cartrita.cost.price import and_embedding, free
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.embedding import embedded
from cartrita.protocol.task import Name
from cartrita.protocol.text import Storable, StorableProse
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import Embedder
from cartrita.storage.ports import Memories, MemoryRecord, Recalled

MAX_ITEMS = 64
"""Embedding so many long texts takes some five seconds of one core."""

NAMESPACE = UUID("0193a1c4-6f1e-7c52-9f3e-2b6d8a4e7f10")
"""Of the ids below; changing it makes every memory a new one."""

Metadata = Annotated[
    dict[Name, Annotated[Storable, Field(max_length=4096)] | int | float | bool],
    Field(max_length=64),
]


class Item(WireModel):
    """One text to remember."""

    text: Annotated[StorableProse, Field(max_length=20_000)]
    metadata: Metadata = Field(default_factory=dict)
    key: Name | None = Field(
        default=None, description="Storing the same key in the same session again replaces it."
    )


class StoreParams(Params):
    """One text, or several as `items`."""

    text: Annotated[StorableProse, Field(max_length=20_000)] | None = None
    metadata: Metadata | None = None
    key: Name | None = None
    items: Annotated[list[Item], Field(min_length=1, max_length=MAX_ITEMS)] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.text is None) == (self.items is None):
            raise ValueError("give either `text` or `items`")
        if self.items is not None and (self.key or self.metadata):
            raise ValueError("with `items`, `key` and `metadata` belong to each item")
        return self

    def all(self) -> list[Item]:
        """Return what to remember, in one form."""
        if self.items is not None:
            return self.items
        assert self.text is not None
        return [Item(text=self.text, metadata=self.metadata or {}, key=self.key)]


class StoreResult(ModelResult):
    """The memories' ids, one per item, in order; equal ones were stored once."""

    ids: list[UUID]
    stored: int


class RetrieveParams(Params):
    """What to look for."""

    query: Annotated[StorableProse, Field(max_length=10_000)]
    limit: int = Field(default=5, ge=1, le=50)
    threshold: float = Field(default=0.3, ge=0, le=1, description="The least likeness.")
    session_id: Name | None = Field(default=None, description="Only what this session stored.")


class Found(WireModel):
    """A memory and how alike it is to the query, up to 1."""

    id: UUID
    text: str
    score: float
    metadata: Metadata
    session_id: str | None = None
    stored_at: str = Field(description="ISO-8601, UTC.")


class RetrieveResult(ModelResult):
    """Memories, best first."""

    memories: list[Found]


class Memory(Agent, team="system", concurrency=8):
    """Keeps a tenant's texts and finds them by meaning."""

    def __init__(self, memories: Memories, embedder: Embedder) -> None:
        self._memories = memories
        self._embedder = embedder

    @task(
        "memory.context.store",
        cost=and_embedding(
            free(), lambda params: [item.text for item in params.all()], most_texts=MAX_ITEMS
        ),
        timeout=60,
        idempotent=True,
        example={"text": "Refunds are processed within ten business days.", "key": "refunds"},
    )
    async def store(self, params: StoreParams, ctx: Context) -> StoreResult:
        """Remember texts for this tenant, under ids that follow from what they are."""
        tenant, session = ctx.principal.tenant, ctx.session_id
        now = ctx.clock.now()
        items = params.all()
        ids = [identify(item, session) for item in items]
        # The last of equals wins, as it would had they been stored one after the other.
        records = {
            id_: MemoryRecord(id_, item.text, now, session, item.metadata)
            for id_, item in zip(ids, items, strict=True)
        }
        vectors = await embedded(self._embedder, [one.text for one in records.values()], ctx)
        info = self._embedder.info
        await self._memories.store(tenant, list(records.values()), vectors, info.model)
        return StoreResult(ids=ids, stored=len(records), **info.fields())

    @task(
        "memory.context.retrieve",
        cost=and_embedding(free(), lambda params: [params.query]),
        timeout=30,
        idempotent=True,
        example={"query": "When do I get my money back?", "limit": 3},
    )
    async def retrieve(self, params: RetrieveParams, ctx: Context) -> RetrieveResult:
        """Find what this tenant has stored that is closest in meaning to a query."""
        vectors = await embedded(self._embedder, [params.query], ctx)
        info = self._embedder.info
        found = await self._memories.search(
            ctx.principal.tenant,
            vectors[0],
            info.model,
            limit=params.limit,
            threshold=params.threshold,
            session=params.session_id,
        )
        if not found and (other := await self._memories.foreign(ctx.principal.tenant, info.model)):
            ctx.warn(
                f"Memories that were stored with {other!r} were not looked at: vectors of "
                f"different models cannot be compared, and {info.model!r} is in use. Store them "
                "again to find them."
            )
        return RetrieveResult(memories=[_found(item) for item in found], **info.fields())


def identify(item: Item, session: str | None) -> UUID:
    """Derive a memory's id, unique within its tenant.

    From the key or else the text: a task that runs twice stores once.
    """
    what = ["key", item.key] if item.key else ["text", item.text]
    return uuid5(NAMESPACE, json.dumps([session, *what]))


def _found(item: Recalled) -> Found:
    record = item.record
    return Found(
        id=record.id,
        text=record.text,
        score=item.score,
        metadata=dict(record.metadata),
        session_id=record.session,
        stored_at=iso(record.stored_at),
    )
