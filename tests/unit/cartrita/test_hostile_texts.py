"""Texts made to keep a pattern busy take no longer than their length asks for."""

import time

import pytest

from cartrita.privacy.finding import find
from cartrita.tools.text import SENTENCE_ENDS
from cartrita.writing.text import plain, read_markdown


def cost(work, text):
    """Return the CPU seconds of this thread that some work takes at least."""
    return min(_once(work, text) for _ in range(5))


def _once(work, text):
    began = time.thread_time()
    work(text)
    return time.thread_time() - began


@pytest.mark.parametrize(
    ("work", "make"),
    [
        (read_markdown, lambda n: "# a" + " " * n + "x"),
        (plain, lambda n: "# a" + " " * n + "x"),
        (find, lambda n: "eyJ-" * (n // 4)),
        (find, lambda n: "eyJaaaaaaaa." * 20 + "a" * n),
        (find, lambda n: "a@b.cc " * (n // 7)),
        (SENTENCE_ENDS.split, lambda n: "." * n + "x"),
    ],
    ids=["headings", "plain", "tokens", "halves of tokens", "addresses", "dots"],
)
def test_ten_times_the_text_takes_no_fifty_times_the_time(work, make):
    """It would take a hundred times as long where each start looks at all of the rest."""
    assert cost(work, make(100_000)) < 50 * cost(work, make(10_000))
