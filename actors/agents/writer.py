"""Writes: articles, mails, summaries, reports."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cartrita.context import Context, Usage
from cartrita.cost.price import Price, per_call_and_metered
from cartrita.declare import Agent, task
from cartrita.providers.ports import ChatModel, ChatModels, ModelInfo, Summarizer
from cartrita.writing import assembly, orders
from cartrita.writing.forms import (
    BlogParams,
    ComposeParams,
    ContentParams,
    DocumentParams,
    EditParams,
    EmailParams,
    Section,
    SummarizeParams,
    WrittenResult,
)
from cartrita.writing.orders import Kind
from cartrita.writing.text import count_words, plain, read_markdown, split_subject

QUOTE_WORDS = 90
"""Of the sentences that stand for a long context in what is put together without a model."""

TOKENS_PER_SUMMARY_WORD = 1.4
SHORTEST_CONTEXT = 600
"""Characters; a context up to this length is quoted whole."""


def _price(usd: str) -> Price:
    return per_call_and_metered(usd, "0.25", 40_000)


PRICES = {
    "writer.compose": _price("0.03"),
    "writer.content.create": _price("0.02"),
    "writer.content.edit": _price("0.015"),
    "writer.content.summarize": _price("0.01"),
    "writer.blog.post": _price("0.03"),
    "writer.email.compose": _price("0.008"),
}


class Writer(Agent, team="intelligence"):
    """Writes with a language model; what needs none is put together without."""

    def __init__(self, models: ChatModels, summarizer: Summarizer) -> None:
        from cartrita.writing.pen import Pen  # noqa: PLC0415 - imports LangChain

        self._pen, self._summarizer = Pen(models), summarizer

    @task(
        "writer.compose",
        cost=PRICES["writer.compose"],
        timeout=180,
        idempotent=True,
        example={
            "kind": "brief",
            "topic": "Move the release to Friday",
            "facts": ["Two payment tests fail.", "The cause is known: a race with webhooks."],
        },
    )
    async def compose(self, params: ComposeParams, ctx: Context) -> WrittenResult:
        """Write a document of a given kind.

        Without a language model a mail, a report or a brief is put together from the facts and
        the context given, with `[TO WRITE: …]` where something is missing, and is `partial`; a
        summary repeats sentences of its text; the others need a model.
        """
        inner: Any = params.inner()
        if isinstance(inner, DocumentParams):
            return await self._document(params.kind, inner, ctx)
        writing: dict[Kind, Callable[[Any, Context], Awaitable[WrittenResult]]] = {
            "content": self.create,
            "edit": self.edit,
            "summary": self.summarize,
            "blog": self.blog,
            "email": self.email,
        }
        return await writing[params.kind](inner, ctx)

    @task(
        "writer.content.create",
        cost=PRICES["writer.content.create"],
        timeout=180,
        idempotent=True,
        example={"prompt": "Why our shop now opens on Sundays", "length": "short"},
    )
    async def create(self, params: ContentParams, ctx: Context) -> WrittenResult:
        """Write a text from a prompt. Needs a configured language model."""
        chat = self._pen.chat(params.model, "Writing a text")
        order = orders.content(params.prompt, params.tone, params.length)
        return await self._written(chat, "content", order, ctx, marks=params.format == "markdown")

    @task(
        "writer.content.edit",
        cost=PRICES["writer.content.edit"],
        timeout=180,
        idempotent=True,
        example={"content": "We was late becuase of rain.", "instructions": "Correct it."},
    )
    async def edit(self, params: EditParams, ctx: Context) -> WrittenResult:
        """Change a text as told. Needs a configured language model."""
        chat = self._pen.chat(params.model, "Editing a text")
        style = None if params.style == "maintain" else params.style
        order = orders.edit(params.content, params.instructions, style)
        return await self._written(chat, "edit", order, ctx)

    @task(
        "writer.content.summarize",
        cost=PRICES["writer.content.summarize"],
        timeout=120,
        idempotent=True,
        example={
            "content": "The release is postponed to Friday because two payment tests fail. "
            "Maria found the cause: a race between refunds and webhooks. "
            "Please merge nothing else until then.",
            "length": 20,
        },
    )
    async def summarize(self, params: SummarizeParams, ctx: Context) -> WrittenResult:
        """Make a text shorter: in a model's words, or without one in sentences of its own."""
        own = params.model == self._summarizer.info.model
        chat = None if own else self._pen.chat_if_any(params.model, "A summary in new words")
        bullets = params.format == "bullets"
        if chat is None:
            limit = orders.words("summary", params.length).high
            quotes, info = await self._quotes(params.content, limit, ctx)
            text = "\n".join(f"- {one}" for one in quotes) if bullets else " ".join(quotes)
            return _result("summary", text, info)
        order = orders.summary(params.content, params.length, bullets=bullets)
        return await self._written(chat, "summary", order, ctx)

    @task(
        "writer.blog.post",
        cost=PRICES["writer.blog.post"],
        timeout=240,
        idempotent=True,
        example={"topic": "Actors that restart themselves", "keywords": ["supervision"]},
    )
    async def blog(self, params: BlogParams, ctx: Context) -> WrittenResult:
        """Write a blog post with its keywords in it. Needs a configured language model."""
        chat = self._pen.chat(params.model, "Writing a blog post")
        order = orders.blog(params.topic, params.tone, params.length, params.keywords)
        return await self._written(chat, "blog", order, ctx)

    @task(
        "writer.email.compose",
        cost=PRICES["writer.email.compose"],
        timeout=120,
        idempotent=True,
        example={
            "purpose": "Tell the team that the release moves to Friday",
            "recipient": "Maria",
            "facts": ["Two payment tests fail."],
        },
    )
    async def email(self, params: EmailParams, ctx: Context) -> WrittenResult:
        """Write a mail; without a language model put one together, with gaps marked."""
        chat = self._pen.chat_if_any(params.model, "Writing a mail")
        if chat is None:
            return await self._assembled("email", params.purpose, params, ctx)
        material = orders.listed(
            ("Purpose", params.purpose),
            ("Recipient", params.recipient),
            ("Sender", params.sender),
            ("What the recipient is asked", params.asks),
            ("Facts", "\n".join(params.facts)),
            ("Context", params.context),
        )
        order = orders.email(material, params.tone, params.length)
        return await self._written(chat, "email", order, ctx)

    async def _document(self, kind: Kind, params: DocumentParams, ctx: Context) -> WrittenResult:
        chat = self._pen.chat_if_any(params.model, f"Writing a {kind}")
        if chat is None:
            return await self._assembled(kind, params.topic, params, ctx)
        material = orders.listed(
            ("Topic", params.topic),
            ("What is recommended or to be decided", params.asks),
            ("Facts", "\n".join(params.facts)),
            ("Context", params.context),
        )
        order = orders.document(kind, material, params.tone, params.length)
        return await self._written(chat, kind, order, ctx)

    async def _written(
        self, chat: ChatModel, kind: Kind, order: orders.Order, ctx: Context, *, marks: bool = True
    ) -> WrittenResult:
        ceiling = PRICES.get(ctx.task_type, PRICES["writer.compose"])
        reply = await self._pen.write(chat, order, ctx, ceiling)
        if reply.refused:
            return _result(kind, reply.text, reply.info, order.tone)
        return _result(kind, reply.text, reply.info, order.tone, marks=marks)

    async def _assembled(
        self, kind: Any, subject: str, params: EmailParams | DocumentParams, ctx: Context
    ) -> WrittenResult:
        """Put a document together from what is given."""
        context = (params.context or "").strip()
        quotes = [context] if context else []
        if len(context) > SHORTEST_CONTEXT:
            quotes, _ = await self._quotes(context, QUOTE_WORDS, ctx)
        mail = params if isinstance(params, EmailParams) else None
        given = assembly.Given(
            subject,
            params.facts,
            quotes,
            params.asks,
            mail.recipient if mail else None,
            mail.sender if mail else None,
            params.tone,
        )
        draft = assembly.assemble(kind, given)
        if draft.missing:
            ctx.warn(
                "Put together without a language model: what `[TO WRITE: …]` marks is missing. "
                "Set OPENAI_API_KEY or OPENAI_BASE_URL to have it written."
            )
        return _result(kind, draft.text, assembly.INFO, params.tone, missing=draft.missing)

    async def _quotes(self, text: str, words: int, ctx: Context) -> tuple[list[str], ModelInfo]:
        began = ctx.clock.monotonic()
        summary = await self._summarizer.summarize(text, round(words * TOKENS_PER_SUMMARY_WORD))
        ctx.spent(Usage(summary.info.model, seconds=ctx.clock.monotonic() - began))
        return [one.text for one in summary.sentences] or [summary.text], summary.info


def _result(
    kind: Kind,
    written: str,
    info: ModelInfo,
    tone: str | None = None,
    *,
    marks: bool = True,
    missing: Sequence[str] = (),
) -> WrittenResult:
    """Tell what was written; of a mail its subject apart, of others their sections."""
    subject, text = split_subject(written) if kind == "email" else (None, written.strip())
    document = read_markdown(text)
    if not marks:
        text = plain(text)
    return WrittenResult(
        kind=kind,
        text=text,
        word_count=count_words(text),
        title=document.title,
        subject=subject,
        sections=[Section(heading=part.heading, text=part.text) for part in document.parts],
        tone=tone,
        partial=bool(missing),
        missing=list(missing),
        **info.fields(),
    )
