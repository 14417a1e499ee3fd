"""Tests of cartrita/research/citation.py."""

import re

from hypothesis import given
from hypothesis import strategies as st

from cartrita.research.citation import LONGEST_EXCERPT, Source, checked, excerpt, prompt

SOURCES = [Source(n, f"T{n}", f"https://{n}.example/", f"text {n}") for n in (1, 2, 3)]


def test_marks_are_kept_where_their_source_exists():
    text, cited, invented = checked("A [1]. B [2][3]. C [1, 2; 3].", SOURCES)
    assert text == "A [1]. B [2][3]. C [1][2][3]."
    assert (cited, invented) == (frozenset({1, 2, 3}), frozenset())


def test_marks_of_sources_that_do_not_exist_go():
    text, cited, invented = checked("A [4]. B [1, 9]. C [0].", SOURCES)
    assert text == "A. B [1]. C."
    assert (cited, invented) == (frozenset({1}), frozenset({0, 4, 9}))


@given(st.text(alphabet="[]0123456789,; a\n", max_size=60))
def test_no_mark_of_a_source_that_does_not_exist_is_left(text):
    told, cited, _ = checked(text, SOURCES)
    again = checked(told, SOURCES)
    assert again[1] == cited
    marks = re.findall(r"\[(\d{1,3})\]", told)
    assert cited <= {1, 2, 3}
    assert all(int(mark) in (1, 2, 3) for mark in marks) or again[2]


def test_an_excerpt_is_the_lines_that_share_most_with_the_question_in_their_order():
    lines = [f"Line {n} is about the weather." for n in range(300)]
    lines[7] = "Refunds are paid within ten days."
    lines[250] = "A refund is paid by card."
    found = excerpt("\n".join(lines), "When are refunds paid?").splitlines()
    assert len("\n".join(found)) <= LONGEST_EXCERPT
    assert lines[7] in found
    assert lines[250] in found
    assert found.index(lines[7]) < found.index(lines[250])
    assert excerpt("short", "x") == "short"


@given(st.text(max_size=300), st.text(max_size=40), st.integers(1, 100))
def test_an_excerpt_is_never_longer_than_allowed(text, question, longest):
    assert len(excerpt(text, question, longest)) <= max(longest, 0)


def test_the_prompt_tells_question_and_sources():
    assert prompt("Why?", SOURCES[:1]) == (
        "Question: Why?\n\nSources:\n\n[1] T1 (https://1.example/)\ntext 1"
    )
