"""Tells which language a text is in, and translates it."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, StringConstraints

from cartrita.context import Context
from cartrita.cost.price import metered
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.protocol.task import Name
from cartrita.protocol.text import Prose
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import ChatModels, ModelInfo
from cartrita.providers.ports_texts import LanguageDetector, Spoken
from cartrita.writing.orders import Order

CEILING = metered("0.25", 24_000)
LONGEST_TEXT = 20_000
"""Characters, so that the text and its translation fit the ceiling."""

UNSURE = 0.5
"""Below this share the language is a guess that the caller is told of."""

Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
"""A BCP 47 tag such as `fr` or `pt-BR`; nothing else, as it becomes part of an instruction."""

TRANSLATE = (
    "Translate the text in the data from {source} to {target} (BCP 47 language tags). Answer with "
    "the translation only, without the marks around the data. Keep line breaks and markup."
)


class InterpretParams(Params):
    """A text, and the language it should be in."""

    text: Annotated[Prose, Field(max_length=LONGEST_TEXT)]
    target_language: Language | None = Field(
        default=None, description="Without it the language is told and nothing is translated."
    )
    source_language: Language | None = Field(default=None, description="Default: as detected.")
    model: Annotated[Name | None, Field(description="Default: the configured one.")] = None


class Candidate(WireModel):
    """A language the text may be in."""

    language: str
    confidence: float


class InterpretResult(ModelResult):
    """The text's language, and the text in the language that was asked for."""

    text: str | None = Field(
        default=None, description="The translation; the text itself where it needs none."
    )
    translated: bool
    detected_language: str
    confidence: float = Field(description="From 0 to 1.")
    candidates: list[Candidate] = Field(description="Likeliest first.")
    source_language: str
    target_language: str | None = None


class Interpreter(Agent, team="intelligence", concurrency=8):
    """Detects languages by itself, and translates with a language model."""

    def __init__(self, models: ChatModels, detector: LanguageDetector) -> None:
        from cartrita.writing.pen import Pen  # noqa: PLC0415 - imports LangChain

        self._pen, self._detector = Pen(models), detector

    @task(
        "translation.detect_translate",
        aliases=("translation.translate_text",),
        cost=CEILING,
        timeout=120,
        idempotent=True,
        example={"text": "Guten Morgen, wie geht es dir heute?", "targetLanguage": "en"},
    )
    async def detect_translate(self, params: InterpretParams, ctx: Context) -> InterpretResult:
        """Detect a text's language, and translate it where a target language is named.

        Detecting needs no model that writes; translating needs a configured language model,
        unless the text is in the target language already.
        """
        found = await self._detector.detect(params.text)
        best = found[0]
        if best.confidence < UNSURE and params.source_language is None:
            ctx.warn(f"The language is a guess: {best.language!r} at {best.confidence:.0%}.")
        source, target = params.source_language or best.language, params.target_language
        if target is None or _same(source, target):
            same = None if target is None else params.text
            return _result(params, found, source, same, self._detector.info, translated=False)
        chat = self._pen.chat(params.model, f"Translating from {source!r} to {target!r}")
        told = TRANSLATE.format(source=source, target=target)
        reply = await self._pen.write(chat, Order(told, params.text), ctx, CEILING)
        text = reply.text.strip()
        return _result(params, found, source, text, reply.info, translated=not reply.refused)


def _same(source: str, target: str) -> bool:
    """Tell whether a text in one is in the other, too: `en` is fit for `en`, not for `en-GB`."""
    return source.lower() == target.lower()


def _result(
    params: InterpretParams,
    found: Sequence[Spoken],
    source: str,
    text: str | None,
    info: ModelInfo,
    *,
    translated: bool,
) -> InterpretResult:
    return InterpretResult(
        text=text,
        translated=translated,
        detected_language=found[0].language,
        confidence=found[0].confidence,
        candidates=[Candidate(language=one.language, confidence=one.confidence) for one in found],
        source_language=source,
        target_language=params.target_language,
        **info.fields(),
    )
