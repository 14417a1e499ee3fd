"""What agents may ask of Hugging Face models."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated, Any, Protocol

from pydantic import Field

from cartrita.context import Context
from cartrita.declare import ModelResult, Params
from cartrita.protocol.task import Name
from cartrita.protocol.text import Unicode
from cartrita.protocol.wire import WireModel

LOCAL_TASK = "huggingface.text.local"
"""The hidden task whose host has the models in it: the only one that imports torch."""

ENABLE = (
    "run `pip install 'cartrita[torch]'` and put the model's folder below `huggingface.path`, "
    "or set `huggingface.download`, or set HUGGINGFACE_API_KEY for the inference API"
)
"""How to have a model of Hugging Face."""

MOST_CHARS = 100_000
MOST_LABELS = 50

Say = Callable[[str], Awaitable[None]]
"""Takes a piece of the text that a model is writing."""


class TextKind(StrEnum):
    """What a model does with a text, as Hugging Face calls it."""

    GENERATION = "text-generation"
    SUMMARIZATION = "summarization"
    TRANSLATION = "translation"
    CLASSIFICATION = "text-classification"
    ZERO_SHOT = "zero-shot-classification"
    ANSWERING = "question-answering"
    TOKENS = "token-classification"
    FILL_MASK = "fill-mask"
    SIMILARITY = "sentence-similarity"


class TextAsk(Params):
    """A text and what to do with it; most fields count for some kinds only.

    Attributes:
        labels: To choose from (`zero-shot-classification`), or texts to compare with
            (`sentence-similarity`).
        max_tokens: The most that may be written.
        most: Answers at most, the best ones (`text-classification`, `fill-mask`).
    """

    kind: TextKind
    model: Name
    text: Annotated[Unicode, Field(max_length=MOST_CHARS)]
    question: Annotated[Unicode, Field(max_length=2_000)] = ""
    labels: list[Annotated[Unicode, Field(max_length=10_000)]] = Field(
        default_factory=list, max_length=MOST_LABELS
    )
    source_language: str = ""
    target_language: str = ""
    max_tokens: int = Field(default=256, ge=1, le=4096)
    temperature: float | None = Field(default=None, ge=0, le=2)
    most: int = Field(default=MOST_LABELS, ge=1, le=MOST_LABELS)


class Finding(WireModel):
    """A label, word or passage, how sure the model is of it, and where it stands."""

    label: str
    score: float
    text: str = ""
    start: int = 0
    end: int = 0


class TextAnswer(ModelResult):
    """What a model made of a text.

    Attributes:
        text: What it wrote.
        findings: What it found: labels best first, passages in order, likenesses in the order
            of the labels asked about.
        cut: Whether what it wrote was cut off at its limit.
    """

    text: str = ""
    findings: list[Finding] = Field(default_factory=list)
    tokens_in: int = 0
    tokens_out: int = 0
    cut: bool = False

    def about(self) -> dict[str, Any]:
        """Return the fields of a `ModelResult`: which model it was, and what it cannot do."""
        return {name: getattr(self, name) for name in ModelResult.model_fields}


class HuggingFace(Protocol):
    """Models of Hugging Face, wherever they run."""

    def choose(self, kind: TextKind, asked: str | None) -> str | None:
        """Return the model that does this kind of task; None where none of them shall.

        Args:
            kind: What is to be done.
            asked: The model that the caller names; None and `auto` take the configured one.
        """

    async def run(self, ask: TextAsk, ctx: Context) -> TextAnswer:
        """Have a chosen model do it, and meter that.

        What is generated is shown while it is written, where the caller wants that.

        Raises:
            ModelRequired: Nothing here has that model.
            NetworkFailed: The inference API could not be reached, or is busy.
        """


class LocalText(Protocol):
    """Models that run in this process; a host of its own, as they may take all its memory."""

    async def run(self, ask: TextAsk, say: Say | None = None) -> TextAnswer:
        """Do it; being cancelled stops the model at its next token or piece.

        Args:
            ask: What to do, and with which model.
            say: Takes the pieces of a text that is being written.

        Raises:
            ModelRequired: There is no such model here.
            MissingExtra: torch or transformers is not installed.
            ConfigurationInvalid: The model is not made for this, or is no safe file.
        """
