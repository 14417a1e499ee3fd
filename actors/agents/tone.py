"""Reads between the lines: feelings, and biased wording."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from cartrita.context import Context, Usage
from cartrita.cost.price import metered
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.protocol.task import Name
from cartrita.protocol.text import Prose
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import ChatModels, TextClassifier
from cartrita.writing import bias

CEILING = metered("0.10", 24_000)
LONGEST_TEXT = 20_000
MOST_PASSAGES = 40
MOST_FINDINGS = 100

Emotion = Literal["joy", "sadness", "anger", "fear", "surprise", "disgust", "trust", "neutral"]
BiasKind = Literal[
    "gender", "age", "disability", "origin", "religion", "generalisation", "loaded", "other"
]
Text = Annotated[Prose, Field(max_length=LONGEST_TEXT)]
Model = Annotated[
    Name | None,
    Field(description="Default: the configured one, and without one what is built in."),
]

FEEL = (
    "Tell which emotions the text in the data expresses, each with a score from 0 to 1, and in "
    "one sentence why. Leave out those that it does not."
)
JUDGE = (
    "Find wordings in the text in the data that are biased against people: by gender, age, "
    "disability, origin, religion, by saying the same of everybody in a group, or by loaded words. "
    "Quote each exactly as it stands. An empty list is a good answer for a fair text."
)

_ENDS = re.compile(r"(?<=[.!?])\s+|\n+")


class EmotionParams(Params):
    """A text."""

    text: Text
    model: Model = None


class Feeling(WireModel):
    """A label and its share, from 0 to 1."""

    label: str
    score: float


class Felt(WireModel):
    """An emotion and how strong it is, from 0 to 1."""

    emotion: Emotion
    score: float = Field(ge=0, le=1)


class Passage(WireModel):
    """A passage of the text, and its sentiment."""

    text: str
    label: str
    score: float


class EmotionResult(ModelResult):
    """How the text feels. Emotions are there where a language model read it."""

    sentiment: list[Feeling] = Field(description="By a word list, likeliest first.")
    passages: list[Passage] = Field(description="Those that are not neutral, in order.")
    emotions: list[Felt] | None = Field(default=None, description="Strongest first.")
    explanation: str | None = None


class BiasParams(Params):
    """A text."""

    text: Text
    model: Model = None


class Finding(WireModel):
    """A wording: `text[start:end]` is the quote, in Unicode characters."""

    kind: str
    quote: str
    start: int
    end: int
    reason: str
    suggestion: str | None = None
    source: Literal["lexicon", "model"]


class BiasResult(ModelResult):
    """What was found, in the order of the text."""

    findings: list[Finding]
    biased: bool = Field(description="Whether anything was found.")


class Reading(BaseModel):
    """What a language model is asked about feelings."""

    emotions: Annotated[list[Felt], Field(max_length=8)]
    explanation: Annotated[str, Field(max_length=1_000)]


class Quote(BaseModel):
    """A wording that a language model finds biased."""

    quote: Annotated[str, Field(min_length=1, max_length=500)]
    kind: BiasKind
    reason: Annotated[str, Field(max_length=500)]
    suggestion: Annotated[str | None, Field(max_length=500)] = None


class Verdict(BaseModel):
    """What a language model is asked about bias."""

    findings: Annotated[list[Quote], Field(max_length=MOST_FINDINGS)]


class Tone(Agent, team="intelligence", concurrency=8):
    """Tells feelings and biased wording, by word lists and with a language model."""

    def __init__(self, models: ChatModels, classifier: TextClassifier) -> None:
        from cartrita.writing.pen import Pen  # noqa: PLC0415 - imports LangChain

        self._pen, self._classifier = Pen(models), classifier

    @task(
        "emotion.analysis",
        cost=CEILING,
        timeout=90,
        idempotent=True,
        example={"text": "I was so happy when it worked! Then it broke again, and I was furious."},
    )
    async def emotion(self, params: EmotionParams, ctx: Context) -> EmotionResult:
        """Tell how a text feels: positive or negative, and which emotions where a model can.

        Without a language model a word list tells sentiment only, as a whole and by passage.
        """
        own = params.model == self._classifier.sentiment_info.model
        chat = None if own else self._pen.chat_if_any(params.model, "Telling emotions apart")
        began = ctx.clock.monotonic()
        whole = await self._classifier.sentiment(params.text)
        passages = [part for part in _ENDS.split(params.text) if part.strip()][:MOST_PASSAGES]
        felt = [(part, (await self._classifier.sentiment(part)).labels[0]) for part in passages]
        ctx.spent(Usage(whole.info.model, seconds=ctx.clock.monotonic() - began))
        reading = None
        if chat:
            reading = await self._pen.fill(chat, FEEL, params.text, Reading, ctx, CEILING)
        info, values = (reading.info, reading.values) if reading else (whole.info, None)
        return EmotionResult(
            sentiment=[Feeling(label=one.label, score=one.score) for one in whole.labels],
            passages=[
                Passage(text=part.strip(), label=best.label, score=best.score)
                for part, best in felt
                if best.label != "neutral"
            ],
            emotions=sorted(values.emotions, key=lambda one: -one.score) if values else None,
            explanation=values.explanation if values else None,
            **info.fields(),
        )

    @task(
        "bias.detect",
        cost=CEILING,
        timeout=90,
        idempotent=True,
        example={"text": "Every engineer should bring his laptop. The chairman is young at heart."},
    )
    async def bias(self, params: BiasParams, ctx: Context) -> BiasResult:
        """Find wordings that are biased, with what could stand in their place.

        A list of English wordings always looks; a language model, where there is one, adds what
        it finds and can quote.
        """
        own = params.model == bias.INFO.model
        chat = None if own else self._pen.chat_if_any(params.model, "Judging wordings")
        listed = await ctx.in_thread(bias.find, params.text)
        found = [
            Finding(
                kind=one.kind,
                quote=one.term,
                start=one.start,
                end=one.end,
                reason=one.reason,
                suggestion=one.suggestion,
                source="lexicon",
            )
            for one in listed[:MOST_FINDINGS]
        ]
        info = bias.INFO
        if chat:
            verdict = await self._pen.fill(chat, JUDGE, params.text, Verdict, ctx, CEILING)
            found += _quoted(verdict.values, params.text, found, ctx)
            info = verdict.info
        found.sort(key=lambda one: one.start)
        return BiasResult(findings=found, biased=bool(found), **info.fields())


def _quoted(verdict: Verdict, text: str, known: list[Finding], ctx: Context) -> list[Finding]:
    """Return what a model found beside what is known; only what stands in the text."""
    found, invented = [], 0
    for one in verdict.findings:
        start = text.find(one.quote)
        end = start + len(one.quote)
        if start < 0:
            invented += 1
        elif not any(start < other.end and other.start < end for other in known):
            found.append(Finding(start=start, end=end, source="model", **one.model_dump()))
    if invented:
        ctx.warn(f"{invented} of the model's quotes are not in the text and were left out.")
    return found
