"""Tells languages apart by their letters, with py3langid's tables."""

import asyncio
from collections.abc import Sequence
from typing import Any

from cartrita.providers.ports import ModelInfo
from cartrita.providers.ports_texts import Spoken

LONGEST = 20_000
"""Characters that are looked at."""

CANDIDATES = 5


class LangId:
    """A naive Bayes classifier over 140 languages; its tables are read with the first text."""

    info = ModelInfo(
        model="local/py3langid",
        provider="embedded",
        generative=False,
        limitations=(
            "Guesses at two or three words, with a low confidence; a sentence is safe.",
            "Knows 140 languages, and takes every text for one of them.",
        ),
    )

    def __init__(self) -> None:
        self._identifier: Any = None
        self._loading = asyncio.Lock()

    async def detect(self, text: str) -> Sequence[Spoken]:
        """Return the likeliest languages, likeliest first."""
        async with self._loading:
            if self._identifier is None:
                self._identifier = await asyncio.to_thread(_load)
        ranked = await asyncio.to_thread(self._identifier.rank, text[:LONGEST])
        return [Spoken(str(name), float(share)) for name, share in ranked[:CANDIDATES]]


def _load() -> Any:
    from py3langid.langid import (  # noqa: PLC0415 - reads its tables
        MODEL_FILE,
        LanguageIdentifier,
    )

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
