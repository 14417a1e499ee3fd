"""Answers questions from documents that come with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, Field, model_validator

from cartrita.context import Context, Usage
from cartrita.cost.price import and_embedding, metered
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.embedding import embedded
from cartrita.knowledge.chunking import OVERLAP, SIZE, cut
from cartrita.protocol.task import Name
from cartrita.protocol.text import Prose, Unicode
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import (
    ChatModel,
    ChatModels,
    Embedder,
    ModelInfo,
    QuestionAnswerer,
)
from cartrita.research.citation import INSTRUCTION, Source, checked, prompt

CEILING = metered("0.25", 40_000)
MOST_DOCUMENTS = 100
MOST_TEXT = 200_000
"""Characters of all documents together: some 250 pieces, five seconds of one core."""

MOST_QUERIES = 3
REPHRASE = (
    "Write the question in the data in other words, as whoever wrote a document that answers it "
    "would put it: up to three short ways, each different from the others."
)
WITHOUT_MODEL = (
    "Quotations, not an answer of its own: no language model is configured "
    "(models.openai_api_key or models.openai_base_url)."
)
BY_LIKENESS = "Documents are ranked by the likeness of vectors; no model ranks them a second time."


class Document(WireModel):
    """A document to answer from."""

    id: Name | None = None
    title: Annotated[Unicode, Field(max_length=500)] | None = None
    text: Annotated[Prose, Field(max_length=50_000)]


class ReadParams(Params):
    """A question and the documents that may hold its answer."""

    question: Annotated[Prose, Field(max_length=2_000)]
    documents: Annotated[list[Document], Field(min_length=1, max_length=MOST_DOCUMENTS)]
    retrieve: int = Field(default=20, ge=1, le=100, description="Pieces that are looked at.")
    read: int = Field(default=8, ge=1, le=20, description="Of these, documents answered from.")
    rephrase: bool = Field(default=False, description="Look for other wordings, too.")
    model: Annotated[Name | None, Field(description="Default: the configured one.")] = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        total = sum(len(one.text) for one in self.documents)
        if total > MOST_TEXT:
            raise ValueError(f"the documents have {total} characters, at most {MOST_TEXT}")
        return self


class Reference(WireModel):
    """A document that was answered from; `number` stands in the answer as [n]."""

    number: int
    index: int = Field(description="Its place among the documents given, from 0.")
    id: str | None = None
    title: str | None = None
    score: float = Field(description="Likeness of its closest piece to the question.")
    cited: bool
    quote: str = Field(description="That piece.")


class ReadResult(ModelResult):
    """The answer, and what it rests on."""

    answer: str | None = Field(default=None, description="Absent when nothing was found.")
    found: bool
    queries: list[str] = Field(description="What was looked for.")
    references: list[Reference]
    considered: int = Field(description="Pieces of documents that were compared.")
    embedding_model: str


class Wordings(BaseModel):
    """What a language model is asked for."""

    wordings: Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=5)]


@dataclass(frozen=True, slots=True)
class _Hit:
    index: int
    text: str
    score: float


def _texts(params: ReadParams) -> list[str]:
    """Return what is embedded: the pieces, and the question in several wordings."""
    pieces = [piece.text for document in params.documents for piece in cut(document.text)]
    return [*pieces, *[params.question] * (1 + MOST_QUERIES)]


MOST_PIECES = MOST_TEXT // (SIZE // 2 - OVERLAP) + MOST_DOCUMENTS + 1 + MOST_QUERIES
COST = and_embedding(CEILING, _texts, most_texts=MOST_PIECES)


class Reader(Agent, team="intelligence", concurrency=4):
    """Reads the documents it is given, and says which it answers from."""

    def __init__(self, models: ChatModels, embedder: Embedder, answerer: QuestionAnswerer) -> None:
        from cartrita.conversation import Said, converse  # noqa: PLC0415 - imports LangChain
        from cartrita.writing.pen import Pen  # noqa: PLC0415 - imports LangChain

        self._pen, self._embedder, self._answerer = Pen(models), embedder, answerer
        self._said, self._converse = Said, converse

    @task(
        "research.documents.answer",
        cost=COST,
        timeout=120,
        idempotent=True,
        example={
            "question": "When are refunds paid?",
            "documents": [
                {"id": "faq", "text": "Refunds are paid within ten business days."},
                {"id": "about", "text": "Our office is in Rome."},
            ],
        },
    )
    async def answer(self, params: ReadParams, ctx: Context) -> ReadResult:
        """Answer a question from the documents given with it, and cite them.

        The closest pieces are found by their vectors. A language model writes the answer where
        one is configured; otherwise it is the sentence that comes closest, word for word, and
        `limitations` says so.
        """
        chat = self._pen.chat_if_any(params.model, "Answering from documents")
        queries = [params.question]
        if params.rephrase and chat:
            others = await self._pen.fill(chat, REPHRASE, params.question, Wordings, ctx, CEILING)
            queries += [one for one in others.values.wordings if one.strip()][:MOST_QUERIES]
        elif params.rephrase:
            ctx.warn("The question was not put in other words: that needs a language model.")
        hits, considered = await self._closest(params, queries, ctx)
        if chat:
            text, cited, info = await self._written(chat, params, hits, ctx)
        else:
            text, cited, info = await self._quoted(params, hits, ctx)
        told = info.fields()
        told["limitations"] = [*(told["limitations"] or ()), BY_LIKENESS]
        return ReadResult(
            answer=text,
            found=bool(cited),
            queries=queries,
            references=[
                _reference(number, hit, params.documents[hit.index], cited=number in cited)
                for number, hit in enumerate(hits, 1)
            ],
            considered=considered,
            embedding_model=self._embedder.info.model,
            **told,
        )

    async def _closest(
        self, params: ReadParams, queries: list[str], ctx: Context
    ) -> tuple[list[_Hit], int]:
        """Return the closest piece of each of the closest documents, best first."""
        parts = [
            (index, piece.text)
            for index, document in enumerate(params.documents)
            for piece in cut(document.text)
        ]
        texts = [*queries, *(piece for _, piece in parts)]
        vectors = await embedded(self._embedder, texts, ctx, COST)
        asked, known = vectors[: len(queries)], vectors[len(queries) :]
        scores = (known @ asked.T).max(axis=1)
        best: dict[int, _Hit] = {}
        for place in np.argsort(-scores, kind="stable")[: params.retrieve].tolist():
            index, piece = parts[place]
            best.setdefault(index, _Hit(index, piece, round(float(scores[place]), 4)))
        return list(best.values())[: params.read], len(parts)

    async def _written(
        self, chat: ChatModel, params: ReadParams, hits: Sequence[_Hit], ctx: Context
    ) -> tuple[str | None, frozenset[int], ModelInfo]:
        sources = [
            Source(number, _title(params.documents[hit.index], hit), "given", hit.text)
            for number, hit in enumerate(hits, 1)
        ]
        said = [
            self._said("system", INSTRUCTION),
            self._said("user", prompt(params.question, sources)),
        ]
        stream = ctx.preferences.streaming
        reply = await self._converse(chat, said, [], ctx, CEILING, stream=stream)
        text, cited, invented = checked(reply.text, sources)
        if invented:
            ctx.warn("The model cited documents that do not exist; those marks were taken out.")
        if not cited:
            ctx.warn("The model cited nothing: check the answer against the documents.")
        return text, cited, reply.info

    async def _quoted(
        self, params: ReadParams, hits: Sequence[_Hit], ctx: Context
    ) -> tuple[str | None, frozenset[int], ModelInfo]:
        began, info = ctx.clock.monotonic(), self._answerer.info
        found = [await self._answerer.answer(params.question, hit.text) for hit in hits]
        ctx.spent(Usage(info.model, seconds=ctx.clock.monotonic() - began))
        numbered = [(number, one) for number, one in enumerate(found, 1) if one.found]
        best_first = sorted(numbered, key=lambda pair: -pair[1].score)
        text = "\n".join(f"“{one.answer}” [{number}]" for number, one in best_first)
        info = ModelInfo(info.model, info.provider, False, (WITHOUT_MODEL, *info.limitations))
        return text or None, frozenset(number for number, _ in numbered), info


def _title(document: Document, hit: _Hit) -> str:
    return document.title or document.id or f"Document {hit.index + 1}"


def _reference(number: int, hit: _Hit, document: Document, *, cited: bool) -> Reference:
    return Reference(
        number=number,
        index=hit.index,
        id=document.id,
        title=document.title,
        score=hit.score,
        cited=cited,
        quote=hit.text,
    )
