"""Answers questions from what it finds, and cites it."""

import asyncio

from pydantic import Field

from cartrita.clock import iso
from cartrita.context import Context, Usage
from cartrita.cost.price import and_embedding, metered
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.errors import CartritaError
from cartrita.protocol.task import Name
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import ChatModel, ChatModels, Embedder, QuestionAnswerer
from cartrita.providers.ports_web import WebFetch, WebSearch
from cartrita.research.citation import INSTRUCTION, Source, checked, prompt
from cartrita.research.finding import LOCAL, Finder, Item, Query, Scope, Sources
from cartrita.storage.ports import Memories

CEILING = and_embedding(metered("0.25", 40_000), lambda params: [params.question])

LONGEST_SEARCHED = 20_000
"""Characters of a page in which a quotation is looked for."""

WITHOUT_MODEL = (
    "Quotations, not an answer of its own: no language model is configured "
    "(models.openai_api_key or models.openai_base_url)."
)


class AnswerParams(Params):
    """A question."""

    question: Query
    pages: int = Field(default=4, ge=1, le=8, description="Sources that are read.")
    sources: Sources = Field(default_factory=list, description="As of `research.web.search`.")
    model: Name | None = Field(default=None, description="Default: the configured one.")


class Citation(WireModel):
    """One source."""

    number: int
    title: str
    url: str | None = None
    source: str = Field(description="Who found it.")
    read: bool = Field(description="False: only what the search engine quotes of it was known.")
    cited: bool = Field(description="Whether the answer names it.")
    quote: str | None = Field(default=None, description="The sentence closest to the question.")


class AnswerResult(ModelResult):
    """An answer whose [n] are the citations' numbers."""

    question: str
    answer: str | None = Field(default=None, description="Absent when nothing was found.")
    found: bool
    scope: Scope
    citations: list[Citation]
    timestamp: str = Field(description="ISO-8601, UTC.")


class _Lead(WireModel):
    """Something found that may be worth reading."""

    item: Item
    text: str
    read: bool


class Scholar(Agent, team="intelligence", concurrency=8):
    """Answers questions, and says from what."""

    def __init__(
        self,
        search: WebSearch,
        fetch: WebFetch,
        memories: Memories,
        embedder: Embedder,
        answerer: QuestionAnswerer,
        models: ChatModels,
    ) -> None:
        from cartrita.conversation import Said, converse  # noqa: PLC0415 - imports LangChain

        self._finder, self._fetch = Finder(search, memories, embedder), fetch
        self._answerer, self._models = answerer, models
        self._said, self._converse = Said, converse

    @task(
        "research.answer",
        cost=CEILING,
        timeout=120,
        idempotent=True,
        example={"question": "When are refunds processed?", "pages": 2},
    )
    async def answer(self, params: AnswerParams, ctx: Context) -> AnswerResult:
        """Answer a question from what is found, and cite it.

        A language model writes the answer where one is configured. Otherwise it is made of the
        sentences that come closest, word for word, and says so in `limitations`.
        """
        chat = self._models.open(params.model)
        scope, items, _ = await self._finder.find(
            params.question, params.pages, params.sources, ctx, CEILING
        )
        leads = await self._leads(items, scope)
        if chat.info.generative and leads:
            return await self._written(chat, params.question, scope, leads, ctx)
        return await self._quoted(params.question, scope, leads, ctx)

    async def _leads(self, items: list[Item], scope: Scope) -> list[_Lead]:
        async def lead(item: Item) -> _Lead:
            if scope == LOCAL or item.url is None:
                return _Lead(item=item, text=item.content, read=True)
            try:
                page = await self._fetch.fetch(item.url)
            except CartritaError:
                return _Lead(item=item, text=item.content, read=False)
            return _Lead(item=item, text=page.content or item.content, read=bool(page.content))

        return [lead for lead in await asyncio.gather(*map(lead, items)) if lead.text.strip()]

    async def _written(
        self, chat: ChatModel, question: str, scope: Scope, leads: list[_Lead], ctx: Context
    ) -> AnswerResult:
        sources = [
            Source(number, lead.item.title, lead.item.url or LOCAL, lead.text)
            for number, lead in enumerate(leads, 1)
        ]
        said = [self._said("system", INSTRUCTION), self._said("user", prompt(question, sources))]
        reply = await self._converse(chat, said, [], ctx, CEILING)
        text, cited, invented = checked(reply.text, sources)
        if invented:
            ctx.warn("The model cited sources that do not exist; those marks were taken out.")
        if not cited:
            ctx.warn("The model cited nothing: check the answer against the sources.")
        return AnswerResult(
            question=question,
            answer=text,
            found=not reply.refused,
            scope=scope,
            citations=[_citation(n, lead, cited=n in cited) for n, lead in enumerate(leads, 1)],
            timestamp=iso(ctx.clock.now()),
            **reply.info.fields(),
        )

    async def _quoted(
        self, question: str, scope: Scope, leads: list[_Lead], ctx: Context
    ) -> AnswerResult:
        began = ctx.clock.monotonic()
        passages = [
            await self._answerer.answer(question, lead.text[:LONGEST_SEARCHED]) for lead in leads
        ]
        info = self._answerer.info
        if passages:
            ctx.spent(Usage(info.model, seconds=ctx.clock.monotonic() - began))
        numbered = list(enumerate(zip(leads, passages, strict=True), 1))
        quotes = [(n, passage) for n, (_, passage) in numbered if passage.found]
        best_first = sorted(quotes, key=lambda pair: -pair[1].score)
        lines = [f"“{passage.answer}” [{number}]" for number, passage in best_first]
        told = info.fields() | {"limitations": [WITHOUT_MODEL, *info.limitations]}
        return AnswerResult(
            question=question,
            answer="\n".join(lines) or None,
            found=bool(lines),
            scope=scope,
            citations=[
                _citation(n, lead, cited=passage.found, quote=passage.answer or None)
                for n, (lead, passage) in numbered
            ],
            timestamp=iso(ctx.clock.now()),
            **told,
        )


def _citation(number: int, lead: _Lead, *, cited: bool, quote: str | None = None) -> Citation:
    item = lead.item
    return Citation(
        number=number,
        title=item.title,
        url=item.url,
        source=item.source,
        read=lead.read,
        cited=cited,
        quote=quote,
    )
