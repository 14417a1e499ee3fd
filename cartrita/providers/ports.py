"""What agents may ask of the outside world."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cartrita.context import Context
from cartrita.external.registry import Registered

Vectors = npt.NDArray[np.float32]
"""Shape (n, dimensions), each row of length 1."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model answered and how far to trust it."""

    model: str
    provider: str
    generative: bool
    limitations: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        """Return the fields of a `ModelResult` that say all this."""
        return {
            "model": self.model,
            "provider": self.provider,
            "generative": self.generative,
            "limitations": list(self.limitations) or None,
        }


class Embedder(Protocol):
    """Turns texts into vectors whose dot product is their likeness."""

    info: ModelInfo
    dimensions: int

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text, in order, normalised, dtype float32."""


class TokenCounter(Protocol):
    """Counts as a model does."""

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text is, without start and end marks."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the input and its position in it, from 0."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary and, when it is extractive, the sentences it is made of."""

    text: str
    sentences: tuple[Sentence, ...]
    info: ModelInfo


class Summarizer(Protocol):
    """Makes a text shorter."""

    info: ModelInfo

    async def summarize(self, text: str, max_tokens: int) -> Summary:
        """Return a summary of at most `max_tokens` tokens of the model in use."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label and how sure the model is, from 0 to 1."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """Labels, best first."""

    labels: tuple[Label, ...]
    info: ModelInfo


class TextClassifier(Protocol):
    """Sorts texts into labels: the caller's with one model, feelings with another."""

    info: ModelInfo
    sentiment_info: ModelInfo

    async def classify(self, text: str, labels: Sequence[str]) -> Classification:
        """Score `text` against `labels` given by the caller."""

    async def sentiment(self, text: str) -> Classification:
        """Score `text` as positive, neutral or negative."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Where in the context an answer stands, in characters."""

    answer: str
    score: float
    start: int
    end: int
    found: bool
    info: ModelInfo


class QuestionAnswerer(Protocol):
    """Finds answers in a given context."""

    info: ModelInfo

    async def answer(self, question: str, context: str) -> Passage:
        """Return the passage of `context` that answers `question` best."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A query's answer: column names, rows of JSON values, and whether rows were cut off."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool


class SqlEngine(Protocol):
    """Runs read-only SQL over tables given with the query."""

    async def query(
        self,
        sql: str,
        tables: dict[str, list[dict[str, Any]]],
        *,
        max_rows: int,
        timeout: float,
    ) -> Rows:
        """Run one SELECT over `tables`, at most `timeout` seconds and `max_rows` rows."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What one look at a dependency found.

    Attributes:
        required: Whether nothing works without it.
        latency_ms: How long the look took.
        detail: One short line, fit for any user's eyes.
    """

    name: str
    ok: bool
    required: bool
    latency_ms: float
    detail: str


class Probe(Protocol):
    """Looks whether one dependency really works."""

    name: str
    required: bool

    async def check(self) -> str:
        """Use the dependency once and return one short line about it, or raise."""


class Probes(Protocol):
    """Looks at every dependency this process has."""

    async def check(self) -> tuple[ProbeReport, ...]:
        """Probe all at once; a probe that fails or hangs is a report, not an error."""


@dataclass(frozen=True, slots=True)
class ChatModel:
    """An opened chat model and what it costs.

    Attributes:
        model: A LangChain `BaseChatModel`; loosely typed, so that ports import no SDK.
        price_in: USD per 1,000 prompt tokens.
        price_out: USD per 1,000 completion tokens.
    """

    model: Any
    info: ModelInfo
    price_in: Decimal = Decimal(0)
    price_out: Decimal = Decimal(0)

    def usd(self, tokens_in: int, tokens_out: int) -> Decimal:
        """Return what a call with so many tokens costs."""
        return (self.price_in * tokens_in + self.price_out * tokens_out) / 1000


AUTO = "auto"
"""Names the configured model, like no name at all."""


class ChatModels(Protocol):
    """The chat models this installation can talk to."""

    def open(self, name: str | None, *, temperature: float | None = None) -> ChatModel:
        """Return a model by its name; the configured one for none and for `auto`.

        Raises:
            ModelRequired: Nothing here can serve `name`; the message says what would.
        """


class Toolbox(Protocol):
    """The tools a chat model may use on behalf of a caller."""

    def tools(
        self,
        ctx: Context,
        agent: str,
        names: Sequence[str] | None = None,
        *,
        changing: bool = False,
    ) -> list[Any]:
        """Return LangChain tools bound to the caller of `ctx`; they see no other's data.

        Args:
            ctx: The task.
            agent: Whose allow-list holds.
            names: Only these.
            changing: Those that change the outside world, too; the task declares the effect.

        Raises:
            InvalidParameters: A name is of no tool that this agent may use.
        """


class EffectSink(Protocol):
    """Something outside that counts what is done to it; a chaos run has one."""

    async def ran(self, task_id: str) -> None:
        """Tell that an attempt of a task began."""

    async def hit(self, effect_id: str) -> None:
        """Have the effect."""

    async def hits(self, effect_id: str) -> int:
        """Return how often the effect was had."""


class ExternalAgents(Protocol):
    """Agents that run elsewhere."""

    async def call(self, parameters: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """Have the agent of the context's task type do its work; what it says is said.

        Raises:
            NetworkFailed: It could not be reached, or has no time now.
            AgentFailed: It could not do it, or what it answers is not what it declared.
            AgentUnavailable: It was removed, or is quarantined.
        """

    async def check(self, agent: Registered) -> str:
        """Look at an agent's health and return one short line about it.

        Raises:
            NetworkFailed: It is not well; the message is that line.
        """
