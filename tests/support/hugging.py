"""Hugging Face's models, as agents see them in unit tests."""

from cartrita.context import Usage
from cartrita.providers.huggingface.folder import ModelFolder
from cartrita.providers.huggingface.routes import HuggingFaceModels
from cartrita.providers.ports import Embedder, QuestionAnswerer, Summarizer, TextClassifier
from cartrita.providers.ports_huggingface import Finding, TextAnswer, TextKind
from tests.support.fakes import FirstLabel, FirstWords, WordEmbedder, WordFinder

NOTHING = HuggingFaceModels(ModelFolder(None), {}, None, download=False, chat_ids=False)
"""What there is without settings."""

BUILT_IN = {
    Summarizer: FirstWords(),
    TextClassifier: FirstLabel(),
    QuestionAnswerer: WordFinder(),
    Embedder: WordEmbedder(),
}
"""What agents have beside them."""

WRITES = (TextKind.GENERATION, TextKind.SUMMARIZATION, TextKind.TRANSLATION)

SENTENCE = "Ada Lovelace lived in London."
TEXTS = [SENTENCE, "the shop", "ten days in Rome", "food"]
TOGETHER = {
    TextKind.CLASSIFICATION: ("mood", [{"text": text} for text in TEXTS]),
    TextKind.ZERO_SHOT: (
        "inference",
        [
            {"text": text, "labels": ["sport", "food", "Rome"][: n % 3 + 1]}
            for n, text in enumerate(TEXTS)
        ],
    ),
    TextKind.FILL_MASK: ("mask", [{"text": f"{text} [MASK] .", "most": 3} for text in TEXTS]),
    TextKind.SIMILARITY: (
        "sentences",
        [{"text": text, "labels": TEXTS[: n + 1]} for n, text in enumerate(TEXTS)],
    ),
}
"""What several callers ask of one of the checkpoints that `tests.support.tiny` builds."""


class OneModel:
    """Has the model `org/model` for everything, and remembers what it was asked."""

    name = "org/model"

    def __init__(self, *findings: Finding, text: str = "") -> None:
        self.findings, self.text = list(findings), text
        self.asked = []

    def choose(self, kind, asked):
        return self.name if asked in (None, self.name) else None

    async def run(self, ask, ctx):
        self.asked.append(ask)
        ctx.spent(Usage(self.name, 1, 1))
        return TextAnswer(
            text=self.text,
            findings=self.findings,
            model=self.name,
            provider="huggingface",
            generative=ask.kind in WRITES,
        )
