"""Tests of cartrita/providers/embedded/sentences.py."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartrita.providers.embedded.sentences import MAX_CHARS, split


def texts(text: str) -> list[str]:
    return [span.text for span in split(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        (
            "Dr. Smith went to Washington D.C. on Jan. 5. He met Mr. Jones at 5 p.m. It went well.",
            [
                "Dr. Smith went to Washington D.C. on Jan. 5.",
                "He met Mr. Jones at 5 p.m.",
                "It went well.",
            ],
        ),
        (
            "J. K. Rowling wrote it. George W. Bush read it.",
            ["J. K. Rowling wrote it.", "George W. Bush read it."],
        ),
        ("Pi is 3.14 today. Use a.b.c now.", ["Pi is 3.14 today.", "Use a.b.c now."]),
        (
            "The U.S. Senate agreed. He lives in the U.S. She does not.",
            ["The U.S. Senate agreed.", "He lives in the U.S.", "She does not."],
        ),
        (
            "Apple Inc. reported earnings, e.g. Macs. See Fig. 2 and No. 5. No. I will not.",
            [
                "Apple Inc. reported earnings, e.g. Macs.",
                "See Fig. 2 and No. 5.",
                "No.",
                "I will not.",
            ],
        ),
        ('"Really?" he asked. Yahoo! is big.', ['"Really?" he asked.', "Yahoo! is big."]),
        ('He said "Stop." (He meant it.) Done.', ['He said "Stop."', "(He meant it.)", "Done."]),
        ("Wow... that is it. Oh… yes.", ["Wow... that is it.", "Oh… yes."]),
        ("it works. without capitals", ["it works.", "without capitals"]),
        ("Great job! 🎉 Thanks.", ["Great job! 🎉", "Thanks."]),
        ("今日は。明日も。", ["今日は。", "明日も。"]),
        (
            "Introduction\nThis line is wrapped by hand as it is so very long\nand goes on. Ah",
            [
                "Introduction",
                "This line is wrapped by hand as it is so very long\nand goes on.",
                "Ah",
            ],
        ),
        (
            "First paragraph\n\nsecond paragraph",
            ["First paragraph", "second paragraph"],
        ),
        ("- milk\n- bread\n1. Go\n2. Buy", ["- milk", "- bread", "1. Go", "2. Buy"]),
        ("", []),
        (" \n\t ", []),
        ("no end", ["no end"]),
    ],
)
def test_cuts_where_a_reader_would(text, expected):
    assert texts(text) == expected


@given(st.text(alphabet=st.sampled_from("aAI .!?…\"')\n-1🎉。é\u200d"), max_size=300))
@settings(max_examples=300, deadline=None)
def test_sentences_are_slices_that_miss_nothing_but_white_space(text):
    end = 0
    for span in split(text):
        assert text[span.start : span.end] == span.text
        assert span.text == span.text.strip() != ""
        assert not text[end : span.start].strip()
        end = span.end
    assert not text[end:].strip()


def test_cuts_text_without_full_stops_at_spaces():
    pieces = texts("word " * 1_000)
    assert all(len(piece) <= MAX_CHARS for piece in pieces)
    assert " ".join(pieces).split() == ["word"] * 1_000


@pytest.mark.timeout(10)  # quadratic behaviour would take minutes
@pytest.mark.parametrize(
    "text",
    [
        "!" * 100_000 + "x",
        "!" + "🎉" * 100_000 + "x",
        "\n" + " " * 100_000 + "x",
        "\n " * 50_000 + "x",
        '."' * 50_000 + "x",
        "1. " * 33_000,
        "A\n" * 50_000,
        "Mr. " * 25_000,
        "x" * 100_000,
    ],
)
def test_takes_time_in_proportion_to_the_text(text):
    assert split(text)
