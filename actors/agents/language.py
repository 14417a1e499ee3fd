"""Works on texts: shorter, sorted, asked."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from cartrita.context import Context, Usage
from cartrita.cost.price import per_call
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.errors import ModelRequired
from cartrita.protocol.answer import Gate
from cartrita.protocol.task import Name
from cartrita.protocol.text import Prose
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import (
    ModelInfo,
    QuestionAnswerer,
    Summarizer,
    TextClassifier,
)
from cartrita.providers.ports_huggingface import (
    ENABLE,
    MOST_CHARS,
    MOST_LABELS,
    HuggingFace,
    TextAnswer,
    TextAsk,
    TextKind,
)

AUTO = "auto"

Text = Annotated[Prose, Field(max_length=MOST_CHARS)]
Model = Annotated[
    Name | None,
    Field(
        description="`auto`, the built-in model's name, a folder's below `huggingface.path`, or "
        "a hub id."
    ),
]
Labels = Annotated[list[Name], Field(min_length=2, max_length=MOST_LABELS)]
MaxTokens = Annotated[int, Field(ge=8, le=1024, description="Tokens of the model in use.")]


class SummarizationOptions(Params):
    """The place where clients of Hugging Face put a length."""

    max_length: MaxTokens | None = None


class SummarizationParams(Params):
    """What to shorten, and how far."""

    text: Text
    max_length: MaxTokens = 130
    model: Model = None
    options: SummarizationOptions = SummarizationOptions()


class SourceSentence(WireModel):
    """A sentence of the text and its position in it, from 0."""

    index: int
    text: str


class SummarizationResult(ModelResult):
    """The summary, and the sentences it is made of when it is extractive."""

    summary: str
    sentences: list[SourceSentence] | None = None


class ClassificationParams(Params):
    """What to sort; without labels, by feeling."""

    text: Text
    labels: Labels | None = None
    model: Model = None

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        labels = [label.casefold() for label in self.labels or ()]
        if len(set(labels)) < len(labels):
            raise ValueError("labels must differ from each other")
        return self


class ZeroShotParams(ClassificationParams):
    """What to sort into which labels."""

    labels: Labels


class ScoredLabel(WireModel):
    """A label and its share, from 0 to 1."""

    label: str
    score: float


class ClassificationResult(ModelResult):
    """Labels, best first."""

    labels: list[ScoredLabel]


class QuestionAnsweringParams(Params):
    """What to ask of which text."""

    question: Annotated[Prose, Field(max_length=2_000)]
    context: Text
    model: Model = None


class QuestionAnsweringResult(ModelResult):
    """`context[start:end]` is the answer, in Unicode characters; empty if there is none."""

    answer: str
    score: float
    start: int
    end: int


class Language(Agent, team="intelligence", concurrency=8):
    """Summarises, classifies and answers questions about texts."""

    def __init__(
        self,
        summarizer: Summarizer,
        classifier: TextClassifier,
        answerer: QuestionAnswerer,
        hugging: HuggingFace,
    ) -> None:
        self._hugging = hugging
        self._summarizer = summarizer
        self._classifier = classifier
        self._answerer = answerer

    @task(
        "huggingface.text.summarization",
        cost=per_call("0.001"),
        timeout=60,
        idempotent=True,
        cacheable=True,
        gate=Gate(text="summary", quotes=True),
        example={
            "text": "The release is postponed to Friday because two payment tests fail. "
            "Maria found the cause: a race between refunds and webhooks. "
            "Please merge nothing else until then.",
            "maxLength": 150,
        },
    )
    async def summarize(self, params: SummarizationParams, ctx: Context) -> SummarizationResult:
        """Make a text shorter."""
        limit = params.options.max_length or params.max_length
        model = self._hugging.choose(TextKind.SUMMARIZATION, params.model)
        if model:
            ask = TextAsk(
                kind=TextKind.SUMMARIZATION, model=model, text=params.text, max_tokens=limit
            )
            answer = await self._hugging.run(ask, ctx)
            return SummarizationResult(summary=answer.text, **answer.about())
        _require(params.model, self._summarizer.info, ctx)
        began = ctx.clock.monotonic()
        summary = await self._summarizer.summarize(params.text, limit)
        ctx.spent(Usage(summary.info.model, seconds=ctx.clock.monotonic() - began))
        sentences = [SourceSentence(index=one.index, text=one.text) for one in summary.sentences]
        return SummarizationResult(
            summary=summary.text, sentences=sentences or None, **summary.info.fields()
        )

    @task(
        "huggingface.text.classification",
        cost=per_call("0.001"),
        timeout=60,
        idempotent=True,
        cacheable=True,
        gate=Gate(confidence="labels.0.score"),
        example={
            "text": "The striker scored twice in the final minutes to win the cup.",
            "labels": ["sports", "politics", "food"],
        },
    )
    async def classify(self, params: ClassificationParams, ctx: Context) -> ClassificationResult:
        """Sort a text into your labels or, without labels, by its sentiment."""
        kind = TextKind.ZERO_SHOT if params.labels else TextKind.CLASSIFICATION
        model = self._hugging.choose(kind, params.model)
        if model:
            ask = TextAsk(kind=kind, model=model, text=params.text, labels=params.labels or [])
            return _labelled(await self._hugging.run(ask, ctx))
        began = ctx.clock.monotonic()
        if params.labels:
            _require(params.model, self._classifier.info, ctx)
            found = await self._classifier.classify(params.text, params.labels)
        else:
            _require(params.model, self._classifier.sentiment_info, ctx)
            found = await self._classifier.sentiment(params.text)
        ctx.spent(Usage(found.info.model, seconds=ctx.clock.monotonic() - began))
        labels = [ScoredLabel(label=one.label, score=one.score) for one in found.labels]
        return ClassificationResult(labels=labels, **found.info.fields())

    @task(
        "huggingface.text.zero_shot_classification",
        cost=per_call("0.001"),
        timeout=60,
        idempotent=True,
        example={
            "text": "The night train to Vienna leaves at ten.",
            "labels": ["travel", "food", "health"],
        },
    )
    async def sort(self, params: ZeroShotParams, ctx: Context) -> ClassificationResult:
        """Sort a text into labels that no model was trained on."""
        return await self.classify(params, ctx)

    @task(
        "huggingface.text.question_answering",
        cost=per_call("0.001"),
        timeout=60,
        idempotent=True,
        cacheable=True,
        gate=Gate(confidence="score"),
        example={
            "question": "When does the shop close?",
            "context": "Refunds take ten days. The shop in Rome closes at six in the evening.",
        },
    )
    async def answer(
        self, params: QuestionAnsweringParams, ctx: Context
    ) -> QuestionAnsweringResult:
        """Find the passage of a text that answers a question."""
        model = self._hugging.choose(TextKind.ANSWERING, params.model)
        if model:
            ask = TextAsk(
                kind=TextKind.ANSWERING, model=model, text=params.context, question=params.question
            )
            return _found(await self._hugging.run(ask, ctx), ctx)
        _require(params.model, self._answerer.info, ctx)
        began = ctx.clock.monotonic()
        found = await self._answerer.answer(params.question, params.context)
        ctx.spent(Usage(found.info.model, seconds=ctx.clock.monotonic() - began))
        if not found.found:
            ctx.warn("Not found: nothing in the context is close enough to the question.")
        return QuestionAnsweringResult(
            answer=found.answer,
            score=found.score,
            start=found.start,
            end=found.end,
            **found.info.fields(),
        )


def _labelled(answer: TextAnswer) -> ClassificationResult:
    labels = [ScoredLabel(label=one.label, score=one.score) for one in answer.findings]
    return ClassificationResult(labels=labels, **answer.about())


def _found(answer: TextAnswer, ctx: Context) -> QuestionAnsweringResult:
    if not answer.findings:
        ctx.warn("Not found: the model sees no answer in the context.")
        return QuestionAnsweringResult(answer="", score=0.0, start=0, end=0, **answer.about())
    best = answer.findings[0]
    return QuestionAnsweringResult(
        answer=best.label, score=best.score, start=best.start, end=best.end, **answer.about()
    )


def _require(asked: str | None, present: ModelInfo, ctx: Context) -> None:
    """Refuse to answer with another model than the one that was asked for."""
    if asked not in (None, AUTO, present.model):
        raise ModelRequired(
            f"{ctx.task_type!r} is done by {present.model!r} here, not by {asked!r}. Leave "
            f"`model` out to use it, or to have {asked!r}: {ENABLE}."
        )
