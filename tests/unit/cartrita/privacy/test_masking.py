"""Placeholders: what leaves, and what comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.errors import InvalidParameters, Reason
from cartrita.privacy.masking import Masker, Rules, redacted
from tests.support.personal import values

PIECES = st.one_of(
    st.text(max_size=20),
    values,
    st.sampled_from(["<EMAIL_1>", "<TEXT_1>", "<PHONE_12>", "<EMAIL_", "<", "1>", "_1>"]),
)
PROSE = st.lists(PIECES, max_size=8).map(" ".join)


@given(st.lists(PROSE, max_size=4))
def test_what_was_masked_comes_back_as_it_was(texts):
    masker = Masker()
    masked = [masker.mask(text) for text in texts]
    assert [masker.unmask(text) for text in masked] == texts


@given(values, st.sampled_from(["mask", "redact"]))
def test_nothing_of_a_value_leaves(value, mode):
    masked = Masker(Rules(mode)).mask(f"It is {value}, she said.")
    assert value not in masked
    for part in value.replace("-", " ").replace(".", " ").split():
        assert len(part) < 3 or part not in masked


@given(PROSE, st.data())
def test_pieces_of_an_answer_show_what_the_whole_would(text, data):
    masker = Masker()
    masked = masker.mask(text)
    stream, shown, at = masker.stream(), "", 0
    while at < len(masked):
        size = data.draw(st.integers(1, 9))
        shown += stream.feed(masked[at : at + size])
        at += size
    assert shown + stream.end() == text


def test_a_value_keeps_its_placeholder_and_no_other_has_it():
    masker = Masker()
    assert masker.mask("a@x.org to b@x.org") == "<EMAIL_1> to <EMAIL_2>"
    assert masker.mask("b@x.org, +1 415 555 2671") == "<EMAIL_2>, <PHONE_1>"
    assert masker.unmask("<EMAIL_2> <EMAIL_3>") == "b@x.org <EMAIL_3>"


def test_nobody_gets_another_task_s_values():
    first, second = Masker(), Masker()
    first.mask("a@x.org")
    assert second.unmask("<EMAIL_1>") == "<EMAIL_1>"


def test_an_answer_keeps_its_placeholders_where_they_are_not_taken_back():
    masker = Masker(Rules("mask", unmask=False))
    masked = masker.mask("a@x.org")
    assert masker.shown(masked) == masked == masker.mask(masked) == "<EMAIL_1>"
    assert masker.unmask(masked) == "a@x.org"  # for tools, which are ours


def test_what_is_redacted_is_gone():
    masker = Masker(Rules("redact"))
    assert masker.mask("from a@x.org to b@x.org") == "from <EMAIL> to <EMAIL>"
    assert masker.shown("<EMAIL>") == "<EMAIL>"


def test_where_it_is_blocked_only_texts_without_it_leave():
    masker = Masker(Rules("block"))
    assert masker.mask("hello") == "hello"
    with pytest.raises(InvalidParameters, match="EMAIL, PHONE") as refused:
        masker.mask("a@x.org or +1 415 555 2671")
    assert refused.value.reason == Reason.PII_BLOCKED


def test_where_it_is_off_all_leaves():
    assert Masker(Rules("off")).mask("a@x.org <EMAIL_1>") == "a@x.org <EMAIL_1>"


def test_texts_within_plain_values_are_changed_and_nothing_else():
    masker = Masker()
    value = {"to": ["a@x.org", 3, None], "b@x.org": True}
    assert masker.within(value, masker.mask) == {"to": ["<EMAIL_1>", 3, None], "b@x.org": True}


def test_logs_say_what_stood_there():
    assert redacted("a@x.org at 8.8.8.8") == "<EMAIL> at <IP>"
