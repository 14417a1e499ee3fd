"""Keeps users' knowledge, finds it again, and tells what of it is alike."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal
from uuid import UUID, uuid5

import numpy as np

from cartrita.clock import iso
from cartrita.context import Context
from cartrita.cost.price import and_embedding, free
from cartrita.declare import Agent, task
from cartrita.embedding import embedded
from cartrita.errors import NotFound
from cartrita.knowledge.chunking import OVERLAP, SIZE, cut
from cartrita.knowledge.forms import (
    LONGEST,
    Cluster,
    FileFacts,
    Hit,
    Likeness,
    MapParams,
    MapResult,
    Node,
    QueryParams,
    QueryResult,
    UpsertParams,
    UpsertResult,
)
from cartrita.knowledge.mapping import clusters, edges
from cartrita.knowledge.ranking import Ranked, fuse, one_each, snippet
from cartrita.providers.ports import Embedder
from cartrita.storage.knowledge import Chunk, Entry, File, Holder, Knowledge, Piece, Scope

MOST_PIECES = 20_000
"""Of one user: they are compared one by one, in some 25 milliseconds."""

BATCH = 64
"""Pieces that are embedded at a time, so that others get their turn between."""

MOST_CHUNKS = LONGEST // (SIZE // 2 - OVERLAP)
"""Of one entry: a piece ends in the second half of what it could hold."""

NAMESPACE = UUID("0193a1c4-6f1e-7c52-9f3e-2b6d8a4e7f12")
"""Of the ids of entries, which follow from the task that makes them: a repeat makes no other."""


def _texts(title: str, chunks: Sequence[Chunk]) -> list[str]:
    """Return what is embedded: the title tells what a piece is about that does not say so."""
    return [f"{title}\n{chunk.text}" for chunk in chunks]


class Librarian(Agent, team="system", concurrency=8):
    """Keeps what users look things up in, each user's apart."""

    def __init__(self, knowledge: Knowledge, embedder: Embedder) -> None:
        self._knowledge, self._embedder = knowledge, embedder

    @task(
        "memory.knowledge_graph.upsert",
        aliases=("knowledge.update",),
        cost=and_embedding(
            free(),
            lambda params: _texts(params.title, cut(params.content)),
            most_texts=MOST_CHUNKS,
        ),
        timeout=300,
        idempotent=True,
        example={"title": "Refunds", "content": "Refunds are paid within ten business days."},
    )
    async def upsert(self, params: UpsertParams, ctx: Context) -> UpsertResult:
        """Keep a text of yours to look things up in, or replace one."""
        holder, now = _holder(ctx), ctx.clock.now()
        digest = hashlib.sha256(params.content.encode()).hexdigest()
        entry_id = params.id or uuid5(NAMESPACE, ctx.root or ctx.task_id)
        known = await self._knowledge.find(holder, entry_id)
        if params.id and known is None:
            raise NotFound(f"There is no entry '{params.id}' of yours.")
        if params.unique and (twin := await self._twin(holder, digest, entry_id)):
            return self._done(twin, "duplicate")
        entry = _entry(params, entry_id, digest, self._embedder.info.model, now)
        if known is not None:
            entry = replace(entry, created_at=known.created_at, chunks=known.chunks)
        if known is None or not _found_alike(known, entry):
            entry = await self._put(holder, entry, ctx)
        elif not await self._knowledge.amend(holder, entry):
            raise NotFound(f"The entry '{entry_id}' was deleted meanwhile.")
        return self._done(entry, "updated" if params.id else "created")

    async def _twin(self, holder: Holder, digest: str, but: UUID) -> Entry | None:
        """Return another entry of the same content."""
        same = await self._knowledge.same(holder, digest)
        return await self._knowledge.find(holder, same) if same not in (None, but) else None

    async def _put(self, holder: Holder, entry: Entry, ctx: Context) -> Entry:
        chunks = await ctx.in_thread(cut, entry.content)
        texts = _texts(entry.title, chunks)
        batches = [texts[first : first + BATCH] for first in range(0, len(texts), BATCH)]
        vectors = np.concatenate([await embedded(self._embedder, batch, ctx) for batch in batches])
        entry = replace(entry, chunks=len(chunks))
        await self._knowledge.put(holder, entry, chunks, vectors, MOST_PIECES)
        return entry

    def _done(
        self, entry: Entry, status: Literal["created", "updated", "duplicate"]
    ) -> UpsertResult:
        return UpsertResult(
            id=entry.id,
            status=status,
            chunks=entry.chunks,
            digest=entry.digest,
            created_at=iso(entry.created_at),
            updated_at=iso(entry.updated_at),
            **self._embedder.info.fields(),
        )

    @task(
        "memory.knowledge_graph.query",
        aliases=("knowledge.query",),
        cost=and_embedding(free(), lambda params: [params.query]),
        timeout=30,
        idempotent=True,
        example={"query": "When do I get my money back?", "limit": 3},
    )
    async def query(self, params: QueryParams, ctx: Context) -> QueryResult:
        """Find pieces of your own entries by their meaning, their words, or both."""
        began = ctx.clock.monotonic()
        ranked = await self._ranked(params, ctx)
        chosen = one_each(ranked) if params.distinct else ranked
        ctx.measure("searchResultsCount", len(chosen[: params.limit]))
        return QueryResult(
            query=params.query,
            search_type=params.search_type,
            hits=[_hit(one, params) for one in chosen[: params.limit]],
            search_time_ms=round((ctx.clock.monotonic() - began) * 1000),
            **self._embedder.info.fields(),
        )

    async def _ranked(self, params: QueryParams, ctx: Context) -> list[Ranked]:
        holder, scope = _holder(ctx), _scope(params)
        most = params.limit * (4 if params.distinct else 2)
        by_meaning: list[Piece] = []
        by_words: list[Piece] = []
        if params.search_type != "fulltext":
            by_meaning = await self._meant(holder, params, scope, most, ctx)
        if params.search_type != "semantic":
            by_words = await self._knowledge.by_words(holder, params.query, scope, most)
        return fuse(by_meaning, by_words)

    async def _meant(
        self, holder: Holder, params: QueryParams, scope: Scope, most: int, ctx: Context
    ) -> list[Piece]:
        (asked,) = await embedded(self._embedder, [params.query], ctx)
        model = self._embedder.info.model
        found = await self._knowledge.by_meaning(
            holder, asked, model, scope, most, params.threshold
        )
        if not found and (other := await self._knowledge.foreign(holder, model)):
            ctx.warn(
                f"Entries that were stored with {other!r} were not compared, as {model!r} is in "
                "use now. Store them again to find them by meaning."
            )
        return found

    @task(
        "memory.knowledge_graph.map",
        timeout=30,
        idempotent=True,
        example={"minStrength": 0.5, "clusters": 3},
    )
    async def map(self, params: MapParams, ctx: Context) -> MapResult:
        """Show which of your entries are alike in meaning, and group them."""
        info = self._embedder.info
        kept = await self._knowledge.middles(_holder(ctx), info.model, params.limit)
        entries = [entry for entry, _ in kept]
        rows = np.stack([middle for _, middle in kept]) if kept else np.zeros((0, 1), np.float32)
        found = await ctx.in_thread(edges, rows, params.min_strength)
        groups = await ctx.in_thread(clusters, rows, params.clusters)
        of = {row: number for number, group in enumerate(groups) for row in group}
        return MapResult(
            nodes=[_node(entry, of.get(row)) for row, entry in enumerate(entries)],
            edges=[
                Likeness(
                    source=entries[edge.first].id,
                    target=entries[edge.second].id,
                    strength=round(edge.strength, 4),
                )
                for edge in found
            ],
            clusters=[
                Cluster(
                    number=number,
                    label=entries[group[0]].title,
                    entries=[entries[row].id for row in group],
                )
                for number, group in enumerate(groups)
            ],
            **info.fields(),
        )


def _holder(ctx: Context) -> Holder:
    return Holder(ctx.principal.tenant, ctx.principal.user)


def _scope(params: QueryParams) -> Scope:
    ids = None if params.ids is None else tuple(params.ids)
    return Scope(params.category, params.content_type, tuple(params.tags), ids)


def _entry(params: UpsertParams, entry_id: UUID, digest: str, model: str, now: float) -> Entry:
    file = params.file
    return Entry(
        id=entry_id,
        title=params.title,
        content=params.content,
        content_type=params.content_type,
        category=params.category,
        subcategory=params.subcategory,
        tags=tuple(dict.fromkeys(params.tags)),
        importance=params.importance_score,
        source_type=params.source_type,
        source_url=params.source_url,
        file=File(file.name, file.kind, file.size) if file else None,
        digest=digest,
        chunks=0,
        model=model,
        created_at=now,
        updated_at=now,
    )


def _found_alike(known: Entry, entry: Entry) -> bool:
    """Tell whether an entry is found by the same pieces and vectors as before."""
    return (known.digest, known.title, known.model) == (entry.digest, entry.title, entry.model)


def _hit(ranked: Ranked, params: QueryParams) -> Hit:
    piece, entry = ranked.piece, ranked.piece.entry
    file = entry.file
    meant = params.search_type == "semantic" and piece.score is not None
    return Hit(
        id=entry.id,
        place=piece.chunk.place,
        text=piece.chunk.text,
        snippet=snippet(piece.chunk.text, params.query),
        title=entry.title,
        content_type=entry.content_type,
        category=entry.category,
        tags=list(entry.tags),
        importance_score=entry.importance,
        file=FileFacts(name=file.name, kind=file.kind, size=file.size) if file else None,
        score=round(piece.score or 0.0, 4) if meant else round(ranked.weight, 4),
        similarity=None if piece.score is None else round(piece.score, 4),
        found_by=ranked.kind,
        created_at=iso(entry.created_at),
        updated_at=iso(entry.updated_at),
    )


def _node(entry: Entry, cluster: int | None) -> Node:
    return Node(
        id=entry.id,
        title=entry.title,
        content_type=entry.content_type,
        category=entry.category,
        tags=list(entry.tags),
        importance_score=entry.importance,
        cluster=cluster,
    )
