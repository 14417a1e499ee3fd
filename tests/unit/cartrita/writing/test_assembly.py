"""Tests of cartrita/writing/assembly.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.writing.assembly import Given, assemble

FULL = Given(
    "Release on Friday",
    facts=["Two tests fail."],
    quotes=["Maria found the cause."],
    asks="Please merge nothing else.",
    recipient="Maria",
    sender="Ada",
)


def test_a_mail_has_what_was_given_and_marks_the_rest():
    draft = assemble("email", FULL)
    assert draft.text.startswith("Subject: Release on Friday\n\nDear Maria,")
    assert "- Two tests fail." in draft.text
    assert draft.text.endswith("Please merge nothing else.\n\nKind regards,\nAda")
    assert draft.missing == [
        "one or two sentences that open the mail; its purpose: Release on Friday"
    ]


@pytest.mark.parametrize(
    ("tone", "greeting"),
    [("Friendly", "Hi Maria,"), ("formal", "Dear Maria,"), ("?", "Dear Maria,")],
)
def test_a_mail_greets_in_its_tone(tone, greeting):
    draft = assemble("email", Given("x", recipient="Maria", tone=tone))
    assert greeting in draft.text.splitlines()


@pytest.mark.parametrize(
    ("kind", "sections"),
    [
        ("report", ["Summary", "Findings", "Analysis", "Recommendations"]),
        ("brief", ["Background", "Key points", "Decision", "Next steps"]),
    ],
)
def test_a_document_has_its_sections(kind, sections):
    text = assemble(kind, FULL).text
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == sections
    assert "Maria found the cause." in text


words = st.text(alphabet="abcdef ", min_size=1, max_size=30)


@given(st.sampled_from(["email", "report", "brief"]), words, st.lists(words, max_size=3))
def test_every_gap_is_marked_and_nothing_else_is_added(kind, subject, facts):
    draft = assemble(kind, Given(subject, facts=facts))
    assert draft.text.count("[TO WRITE: ") == len(draft.missing) > 0
    for fact in facts:
        assert " ".join(fact.split()) in draft.text
