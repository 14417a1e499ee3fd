"""Looks into texts: marks names in them, fills a gap, compares them, makes vectors of them."""

from typing import Annotated

from pydantic import Field

from cartrita.context import Context
from cartrita.cost.price import and_embedding, per_call
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.embedding import embedded
from cartrita.errors import ModelRequired
from cartrita.protocol.task import Name
from cartrita.protocol.text import Prose
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import Embedder
from cartrita.providers.ports_huggingface import (
    ENABLE,
    MOST_CHARS,
    MOST_LABELS,
    HuggingFace,
    TextAsk,
    TextKind,
)

AUTO = "auto"
MOST_TEXTS = 50
"""Their vectors fit a result that is not put into a blob, unless they are very long ones."""

PLACES = 6
"""Decimals of a component that still mean something."""

Text = Annotated[Prose, Field(max_length=MOST_CHARS)]
Model = Annotated[
    Name | None, Field(description="`auto`, a folder's name below `huggingface.path`, or a hub id.")
]


COMPARING = and_embedding(
    per_call("0.001"), lambda params: [params.text, *params.others], most_texts=MOST_LABELS + 1
)


EXTRACTING = and_embedding(
    per_call("0.001"), lambda params: list(params.texts), most_texts=MOST_TEXTS
)


class TokenClassificationParams(Params):
    """Where to look for names and the like."""

    text: Text
    model: Model = None


class Entity(WireModel):
    """A part of the text: `text[start:end]`, in Unicode characters, and what it is."""

    label: str = Field(description="As the model calls it, such as `PER`.")
    score: float
    text: str
    start: int
    end: int


class TokenClassificationResult(ModelResult):
    """What was found, in the text's order."""

    entities: list[Entity]


class FillMaskParams(Params):
    """A text with one gap."""

    text: Annotated[Text, Field(description="With one `[MASK]`, or `<mask>`, in it.")]
    most: int = Field(default=5, ge=1, le=MOST_LABELS, description="Words at most.")
    model: Model = None


class Filling(WireModel):
    """A word for the gap, and the text with it."""

    word: str
    score: float
    text: str


class FillMaskResult(ModelResult):
    """Words, the likeliest first."""

    words: list[Filling]


class SimilarityParams(Params):
    """A text, and those to compare it with."""

    text: Annotated[Prose, Field(max_length=10_000)]
    others: Annotated[
        list[Annotated[Prose, Field(max_length=10_000)]],
        Field(min_length=1, max_length=MOST_LABELS),
    ]
    model: Model = None


class Likeness(WireModel):
    """One of the others, and how alike it is: the cosine of the angle between two vectors."""

    text: str
    score: float


class SimilarityResult(ModelResult):
    """One likeness for each of the others, in their order."""

    likenesses: list[Likeness]


class FeatureParams(Params):
    """Texts to make vectors of."""

    texts: Annotated[
        list[Annotated[Prose, Field(max_length=10_000)]], Field(min_length=1, max_length=MOST_TEXTS)
    ]
    model: Model = None


class FeatureResult(ModelResult):
    """One vector of length 1 for each text, in their order."""

    vectors: list[list[float]]
    dimensions: int


class Texts(Agent, team="intelligence", concurrency=8):
    """Marks names in texts, fills gaps, compares texts, and makes vectors of them."""

    def __init__(self, hugging: HuggingFace, embedder: Embedder) -> None:
        self._hugging, self._embedder = hugging, embedder

    @task(
        "huggingface.text.token_classification",
        cost=per_call("0.001"),
        timeout=60,
        idempotent=True,
        example={"text": "Ada Lovelace lived in London."},
    )
    async def mark(
        self, params: TokenClassificationParams, ctx: Context
    ) -> TokenClassificationResult:
        """Find names of people, places and the like. Needs a Hugging Face model."""
        model = self._required(TextKind.TOKENS, params.model)
        ask = TextAsk(kind=TextKind.TOKENS, model=model, text=params.text)
        answer = await self._hugging.run(ask, ctx)
        found = [Entity.model_validate(one.model_dump()) for one in answer.findings]
        return TokenClassificationResult(entities=found, **answer.about())

    @task(
        "huggingface.text.fill_mask",
        cost=per_call("0.001"),
        timeout=60,
        idempotent=True,
        example={"text": "Paris is the [MASK] of France."},
    )
    async def fill(self, params: FillMaskParams, ctx: Context) -> FillMaskResult:
        """Find words for a gap in a text. Needs a Hugging Face model."""
        model = self._required(TextKind.FILL_MASK, params.model)
        ask = TextAsk(kind=TextKind.FILL_MASK, model=model, text=params.text, most=params.most)
        answer = await self._hugging.run(ask, ctx)
        words = [Filling(word=o.label, score=o.score, text=o.text) for o in answer.findings]
        return FillMaskResult(words=words, **answer.about())

    @task(
        "huggingface.text.sentence_similarity",
        cost=COMPARING,
        timeout=60,
        idempotent=True,
        example={
            "text": "When do I get my money back?",
            "others": ["Refunds take ten days.", "Our office is in Rome."],
        },
    )
    async def compare(self, params: SimilarityParams, ctx: Context) -> SimilarityResult:
        """Tell how alike texts are in meaning."""
        asked, info = params.model, self._embedder.info
        model = self._hugging.choose(TextKind.SIMILARITY, asked)
        if model:
            ask = TextAsk(
                kind=TextKind.SIMILARITY, model=model, text=params.text, labels=params.others
            )
            answer = await self._hugging.run(ask, ctx)
            alike = [Likeness(text=one.label, score=one.score) for one in answer.findings]
            return SimilarityResult(likenesses=alike, **answer.about())
        if asked not in (None, AUTO, info.model):
            raise _missing(asked)
        vectors = await embedded(self._embedder, [params.text, *params.others], ctx, COMPARING)
        scores = (vectors[1:] @ vectors[0]).tolist()
        pairs = zip(params.others, scores, strict=True)
        alike = [Likeness(text=text, score=score) for text, score in pairs]
        return SimilarityResult(likenesses=alike, **info.fields())

    @task(
        "huggingface.text.feature_extraction",
        cost=EXTRACTING,
        timeout=60,
        idempotent=True,
        example={"texts": ["Refunds take ten days.", "Our office is in Rome."]},
    )
    async def extract(self, params: FeatureParams, ctx: Context) -> FeatureResult:
        """Turn texts into vectors whose dot product is their likeness.

        The model is the one that memories are kept with (`embeddings.provider`).
        """
        asked, info = params.model, self._embedder.info
        if asked not in (None, AUTO, info.model):
            raise ModelRequired(
                f"Vectors are made by {info.model!r} here, not by {asked!r}: leave `model` out, or "
                "have the operator set embeddings.provider and embeddings.model."
            )
        vectors = await embedded(self._embedder, params.texts, ctx, EXTRACTING)
        rows = [[round(value, PLACES) for value in row] for row in vectors.tolist()]
        return FeatureResult(vectors=rows, dimensions=self._embedder.dimensions, **info.fields())

    def _required(self, kind: TextKind, asked: str | None) -> str:
        model = self._hugging.choose(kind, asked)
        if model is None:
            raise _missing(asked)
        return model


def _missing(asked: str | None) -> ModelRequired:
    if asked in (None, AUTO):
        return ModelRequired(f"No model is built in for this. Name one; to have it: {ENABLE}.")
    return ModelRequired(f"There is no model {asked!r} here; to have it: {ENABLE}.")
