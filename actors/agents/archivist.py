"""Answers questions from a user's own entries."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from cartrita.agency.writer import required
from cartrita.context import Context
from cartrita.cost.price import metered
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.protocol.task import Name
from cartrita.protocol.text import StorableProse
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import ChatModels
from cartrita.research.citation import INSTRUCTION, Source, checked, prompt

CEILING = metered("0.25", 40_000)

QUERY = "memory.knowledge_graph.query"

NOTHING = "Nothing in your knowledge is about this."


class AnswerParams(Params):
    """A question."""

    question: Annotated[StorableProse, Field(max_length=10_000)]
    ids: Annotated[list[UUID], Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="Only from these entries."
    )
    limit: int = Field(default=8, ge=1, le=20, description="Pieces that are read.")
    threshold: float = Field(default=0.3, ge=0, le=1, description="The least likeness in meaning.")
    model: Name | None = Field(default=None, description="Default: the configured one.")
    max_tokens: int = Field(default=1_024, ge=16, le=8_192)


class Reference(WireModel):
    """A piece that the answer may rest on."""

    number: int
    id: UUID = Field(description="The entry's.")
    place: int
    title: str
    text: str
    similarity: float | None = None
    cited: bool = Field(description="Whether the answer names it.")


class AnswerResult(ModelResult):
    """An answer whose [n] are the references' numbers."""

    question: str
    answer: str
    found: bool
    references: list[Reference]


class Archivist(Agent, team="intelligence", concurrency=8):
    """Reads what a user keeps, and answers from it."""

    def __init__(self, models: ChatModels) -> None:
        from cartrita.conversation import Said, converse  # noqa: PLC0415 - imports LangChain

        self._models, self._said, self._converse = models, Said, converse

    @task(
        "memory.knowledge_graph.answer",
        cost=CEILING,
        timeout=120,
        idempotent=True,
        example={"question": "When are refunds paid?"},
    )
    async def answer(self, params: AnswerParams, ctx: Context) -> AnswerResult:
        """Answer a question from your own entries, and cite them. Needs a language model."""
        chat = required(self._models.open(params.model), "Answering from what is stored")
        asked: dict[str, Any] = {"query": params.question, "limit": params.limit}
        asked["threshold"] = params.threshold
        if params.ids is not None:
            asked["ids"] = [str(id_) for id_ in params.ids]
        hits = (await ctx.call(QUERY, asked))["hits"]
        if not hits:
            told = chat.info.fields()
            return AnswerResult(
                question=params.question, answer=NOTHING, found=False, references=[], **told
            )
        sources = [
            Source(number, hit["title"], f"piece {hit['place']}", hit["text"])
            for number, hit in enumerate(hits, 1)
        ]
        said = [
            self._said("system", INSTRUCTION),
            self._said("user", prompt(params.question, sources)),
        ]
        reply = await self._converse(chat, said, [], ctx, CEILING, answer_tokens=params.max_tokens)
        text, cited, invented = checked(reply.text, sources)
        if invented:
            ctx.warn("The model cited sources that do not exist; those marks were taken out.")
        if not cited:
            ctx.warn("The model cited nothing: check the answer against the references.")
        return AnswerResult(
            question=params.question,
            answer=text,
            found=not reply.refused,
            references=[_reference(n, hit, cited=n in cited) for n, hit in enumerate(hits, 1)],
            **reply.info.fields(),
        )


def _reference(number: int, hit: dict[str, Any], *, cited: bool) -> Reference:
    return Reference(
        number=number,
        id=hit["id"],
        place=hit["place"],
        title=hit["title"],
        text=hit["text"],
        similarity=hit.get("similarity"),
        cited=cited,
    )
