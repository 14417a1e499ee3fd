"""Tests of e-mail addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.auth.address import normalised
from cartrita.errors import InvalidParameters


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("  Ada@Example.ORG\n", "ada@example.org"),
        ("admin@cartrita.local", "admin@cartrita.local"),
        ("a+b.c@localhost", "a+b.c@localhost"),
        ("o'neil@x-y.example", "o'neil@x-y.example"),
    ],
)
def test_an_address_is_stored_in_one_spelling(written, stored):
    assert normalised(written) == stored


@pytest.mark.parametrize(
    "email",
    [
        *("", "a", "a@", "@b", "a@b@c", "a b@c.d", "a@b..c", "a@-b.c", "a@b-.c", "a@b.c."),
        *("a\0@b.c", "a@b.c\0", "a@b.c\nBcc: x@y.z", "a\t@b.c", "\u0430dmin@b.c", "a@b\u3002c"),
        *("<a@b.c>", '"a"@b.c', "a@[127.0.0.1]", "x" * 65 + "@b.c", "a@" + "b" * 64 + ".c"),
        *("a@" + ".".join(["b" * 50] * 5) + ".c", "a" * 1_000_000 + "@b.c"),
    ],
)
def test_what_is_no_address_is_refused_by_name(email):
    with pytest.raises(InvalidParameters) as caught:
        normalised(email)
    assert [field.field for field in caught.value.fields] == ["email"]


@given(st.emails())
def test_normalising_twice_changes_nothing(email):
    try:
        once = normalised(email)
    except InvalidParameters:
        return
    assert normalised(once) == once == once.lower()
