"""Tests of cartrita/providers/embedded/langid.py."""

import pytest

from cartrita.providers.embedded.langid import LangId


@pytest.fixture(scope="module")
def detector():
    return LangId()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The shop closes at six in the evening.", "en"),
        ("Guten Morgen, wie geht es dir heute?", "de"),
        ("Il pleut depuis trois jours et personne ne sort.", "fr"),
        ("¿Dónde está la biblioteca más cercana?", "es"),
        ("今日はとても良い天気ですね。", "ja"),
        ("Сегодня очень хорошая погода.", "ru"),
    ],
)
async def test_a_sentence_is_enough(detector, text, language):
    best, *others = await detector.detect(text)
    assert best.language == language
    assert best.confidence > 0.7
    assert best.confidence + sum(other.confidence for other in others) <= 1.0001
    assert len(others) == 4


async def test_anything_has_an_answer(detector):
    for text in ("", "?", "\x00", "12345", "a" * 100_000):
        assert len(await detector.detect(text)) == 5
