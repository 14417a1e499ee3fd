"""What is found in a text, and what is not."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cartrita.privacy.finding import Kind, find
from tests.support.personal import (
    cards,
    emails,
    ibans,
    identities,
    ips,
    jwts,
    keys,
    phones,
    values,
)


def kinds(text, **more):
    return [(one.kind, text[one.start : one.end]) for one in find(text, **more)]


KINDS = [
    (Kind.EMAIL, emails),
    (Kind.CARD, cards),
    (Kind.IBAN, ibans),
    (Kind.PHONE, phones),
    (Kind.IP, ips),
    (Kind.KEY, keys),
    (Kind.JWT, jwts),
    (Kind.ID, identities),
]


@pytest.mark.parametrize(("kind", "made"), KINDS, ids=[kind for kind, _ in KINDS])
def test_every_kind_is_found_whole_within_prose(kind, made):
    @given(made)
    def check(value):
        text = f"Please write down that it is {value}, and tell nobody."
        assert kinds(text) == [(kind, value)]

    check()


@example(["DE36000000000000000000", "DE36 0000 0000 0000 0000 00"], " and ")
@given(st.lists(values, min_size=2, max_size=6), st.sampled_from([", ", "; ", "\n", " and "]))
def test_nothing_of_several_is_left_over(chosen, sign):
    text = sign.join(chosen)
    left = list(text)
    for one in find(text):
        left[one.start : one.end] = [""] * (one.end - one.start)
    assert not any(char.isdigit() or char == "@" for char in "".join(left))


@given(st.text(max_size=200))
def test_findings_come_in_order_and_apart(text):
    found = find(text)
    assert all(one.start < one.end <= len(text) for one in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


@pytest.mark.parametrize(
    "text",
    [
        "The meeting is on 2026-11-26 at 15:30:00, in room 42.",
        "It costs 1,234,567.89 EUR, or 12 % of 240.",
        "Order 4111111111111112 has shipped.",  # no card: its check digit is wrong
        "Task 0193a1c4-6f1e-7c52-9f3e-2b6d8a4e7f10 has ended.",
        "It listens on 127.0.0.1:8002 and on 10.0.0.7, ::1 too.",
        "Version 3.11.7 of Python, chapter 12.3.4.",
        "pi is 3.14159265358979323846",
        "DE00 3704 0044 0532 0130 00 is no account.",
        "See RFC 7518 and ISO 3166.",
        "The sum of 4155552671 and 12 is known.",
        "def f(x): return x @ y",
        "Ada Lovelace met Charles Babbage in London.",  # names are not found: docs say so
    ],
)
def test_what_tells_of_nobody_is_left_alone(text):
    assert find(text) == []


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("call me at 4155552671", Kind.PHONE, "4155552671"),
        ("my SSN: 536904399 ok", Kind.ID, "536904399"),
        ("PESEL 44051401359.", Kind.ID, "44051401359"),
        ("passport number X1234567 please", Kind.ID, "X1234567"),
        ("Authorization: Bearer abcdef0123456789abcdef", Kind.KEY, "abcdef0123456789abcdef"),
        ("AKIAIOSFODNN7EXAMPLE", Kind.KEY, "AKIAIOSFODNN7EXAMPLE"),
        ("IBAN GB82 WEST 1234 5698 7654 32 by Friday", Kind.IBAN, "GB82 WEST 1234 5698 7654 32"),
        ("Zoë.Müller@example.org!", Kind.EMAIL, "Zoë.Müller@example.org"),
        ("card 4111 1111 1111 1111 exp 12 27", Kind.CARD, "4111 1111 1111 1111"),
    ],
)
def test_the_words_around_are_not_taken_along(text, kind, value):
    assert kinds(text) == [(kind, value)]


def test_a_private_key_is_found_whole():
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc=\n-----END RSA PRIVATE KEY-----"
    assert kinds(f"here: {key} ok") == [(Kind.KEY, key)]


def test_national_numbers_are_those_of_the_region():
    assert kinds("030 123456 or (0)30/123456", region="US") == []
    assert kinds("Tel. 030 12345678", region="DE") == [(Kind.PHONE, "030 12345678")]


@pytest.mark.parametrize("text", ["a@" * 20_000, "1 " * 20_000, "eyJ" * 10_000, "A1" * 20_000])
def test_long_texts_that_nearly_match_do_not_hold_anybody_up(text):
    find(text)  # the suite's own time limit judges
