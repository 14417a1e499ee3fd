"""Tests of cartrita/writing/text.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.writing.text import Words, count_words, plain, read_markdown, split_subject

POST = """# Actors

An opening.

## They restart

Yes, *often*.

```
# no heading
```

## They **talk**

By mail.
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("It's a well-known fact: 3.5 of 7.", 7),
        ("One\ntwo -- three", 3),
        ("日本語です", 5),
        ("naïve café", 2),
    ],
)
def test_words_are_counted_as_people_do(text, words):
    assert count_words(text) == words


@given(st.integers(1, 3000), st.integers(0, 5000))
def test_a_length_is_missed_by_the_way_to_its_nearest_bound(wanted, count):
    words = Words(wanted)
    assert words.low <= wanted <= words.high
    missed = words.miss(count)
    assert missed == 0 or not words.low <= count <= words.high
    assert words.miss(words.low) == words.miss(words.high) == 0


def test_markdown_is_taken_apart_by_its_headings():
    found = read_markdown(POST)
    assert (found.title, found.opening) == ("Actors", "An opening.")
    assert [part.heading for part in found.parts] == ["They restart", "They **talk**"]
    assert "# no heading" in found.parts[0].text


def test_headings_of_one_level_are_sections_and_no_title():
    found = read_markdown("## A\na\n## B\nb")
    assert found.title is None
    assert [part.text for part in found.parts] == ["a", "b"]


def test_a_text_without_headings_is_all_opening():
    assert read_markdown("Just this.").opening == "Just this."


def test_marks_are_taken_off_but_not_in_code():
    text = plain(POST)
    assert text.startswith("Actors\n")
    assert "They talk" in text
    assert "# no heading" in text


@pytest.mark.parametrize(
    ("mail", "subject", "body"),
    [
        ("Subject: Friday\n\nDear all", "Friday", "Dear all"),
        ("**Subject:** Friday\nDear all", "Friday", "Dear all"),
        ("Dear all", None, "Dear all"),
        ("Subject:\nDear all", None, "Dear all"),
    ],
)
def test_a_mail_has_its_subject_in_the_first_line(mail, subject, body):
    assert split_subject(mail) == (subject, body)


@given(st.text(max_size=300))
def test_anything_can_be_taken_apart(text):
    read_markdown(text)
    plain(text)
    split_subject(text)
    assert count_words(text) <= len(text)
