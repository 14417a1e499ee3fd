"""Texts made to keep a pattern busy take no longer than their length asks for."""

import re

import pytest

from cartrita.clock import SystemClock
from cartrita.privacy.finding import find
from cartrita.tools import text as text_tools
from cartrita.writing.text import plain, read_markdown

CLOCK = SystemClock()


def took(work, text):
    began = CLOCK.monotonic()
    work(text)
    return CLOCK.monotonic() - began


def split(text):
    source = text_tools.__loader__.get_source(text_tools.__name__)
    pattern = re.search(r're\.split\(r"(\(\?<!\[\.!\?…\]\).*?)"', source)[1]
    return re.split(pattern, text)


@pytest.mark.parametrize(
    ("work", "make"),
    [
        (read_markdown, lambda n: "# a" + " " * n + "x"),
        (plain, lambda n: "# a" + " " * n + "x"),
        (find, lambda n: "eyJ-" * (n // 4)),
        (find, lambda n: "eyJaaaaaaaa." * 20 + "a" * n),
        (find, lambda n: "a@b.cc " * (n // 7)),
        (split, lambda n: "." * n + "x"),
    ],
    ids=["headings", "plain", "tokens", "halves of tokens", "addresses", "dots"],
)
def test_ten_times_the_text_takes_no_hundred_times_the_time(work, make):
    short, long = make(8_000), make(80_000)
    work(short)
    least = min(took(work, short) for _ in range(3))
    assert took(work, long) < max(50 * least, 0.2)
