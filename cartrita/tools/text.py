"""Shortens, weighs and measures texts."""

import re
from typing import Any

from pydantic import Field

from cartrita.context import Context
from cartrita.providers.embedded.intent import SENTIMENT, SUMMARY
from cartrita.providers.ports import Summarizer, TextClassifier, TokenCounter
from cartrita.tools.declare import Input, Tools, tool

LONGEST_TEXT = 20_000
SUMMARY_TOKENS = 120
WORDS_A_MINUTE = 238
"""Silent reading of English prose (Brysbaert 2019)."""

SENTENCE_ENDS = re.compile(r"(?<![.!?…])[.!?…]+(?:\s|$)")
"""One match begins at the first of a row of marks only, or a long row would take long."""


class TextInput(Input):
    """A text."""

    text: str = Field(min_length=1, max_length=LONGEST_TEXT, pattern=r"\S")


class TextTools(Tools):
    """Texts, with the models that are there for them."""

    def __init__(
        self, summarizer: Summarizer, classifier: TextClassifier, counter: TokenCounter
    ) -> None:
        self._summarizer, self._classifier, self._counter = summarizer, classifier, counter

    @tool(SUMMARY)
    async def summarize(self, given: TextInput, ctx: Context) -> str:
        """Shorten a text by keeping its most telling sentences."""
        made = await self._summarizer.summarize(given.text, SUMMARY_TOKENS)
        return f"{made.text} [{made.info.model}]"

    @tool(SENTIMENT)
    async def sentiment(self, given: TextInput, ctx: Context) -> str:
        """Tell whether a text sounds positive, neutral or negative."""
        found = await self._classifier.sentiment(given.text)
        scores = ", ".join(f"{label.label} {label.score:.2f}" for label in found.labels)
        return f"{scores} [{found.info.model}]"

    @tool("text_statistics", agents=("langchain", "planner"))
    async def measure(self, given: TextInput, ctx: Context) -> dict[str, Any]:
        """Count the characters, words, sentences, paragraphs and tokens of a text."""
        words = re.findall(r"\w+(?:['\u2019-]\w+)*", given.text)
        sentences = [piece for piece in SENTENCE_ENDS.split(given.text) if piece.strip()]
        paragraphs = [piece for piece in re.split(r"\n\s*\n", given.text) if piece.strip()]
        (tokens,) = await self._counter.count_tokens([given.text])
        return {
            "characters": len(given.text),
            "words": len(words),
            "differentWords": len({word.casefold() for word in words}),
            "sentences": len(sentences),
            "paragraphs": len(paragraphs),
            "wordsPerSentence": round(len(words) / max(len(sentences), 1), 2),
            "readingMinutes": round(len(words) / WORDS_A_MINUTE, 2),
            "tokens": tokens,
        }
