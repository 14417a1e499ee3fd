"""Tests of reading a token's segments."""

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.auth.compact import LONGEST_TOKEN, Refused, header_of, object_of


def encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


BODY = f"{encoded(b'{}')}.{encoded(b'signature')}"


def test_a_header_is_read():
    header = encoded(b'{"alg": "x"}')
    assert header_of(f"{header}.{BODY}") == {"alg": "x"}


@pytest.mark.parametrize(
    "header",
    [
        *(b"[]", b"1", b"null", b'"alg"', b"", b"{", b"\xff", b"\xef\xbb\xbf{}"),
        *(
            b'{"alg":"RS256","alg":"none"}',
            b'{"a":NaN}',
            b'{"a":-Infinity}',
            b'{"a":{"b":1,"b":2}}',
        ),
        *(b"[" * 5000, b'{"a":' * 1100, b'{"a":' + b"1" * 5000 + b"}"),
    ],
)
def test_a_header_that_is_no_plain_object_is_refused(header):
    with pytest.raises(Refused):
        header_of(f"{encoded(header)}.{BODY}")


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "..", "...", "e30.e30", "e30.e30.e30.e30", "e30.e30.e30.e30.e30"),
        *("e30.e30.", ".e30.e30", "e30..e30", "e30.e30.e30=", "e30.e30.e3 0", "e30.e30.e30\n"),
        *(
            "e30.e30.a+a+",
            "e30.e30.a/a/",
            "e30.e30.e31",
            "e30.e30.é",
            "e30.e30.\ud800",
            "e30.e30.a",
        ),
        "e30.e30." + "A" * LONGEST_TOKEN,
        '{"payload":"e30","signatures":[]}',
    ],
)
def test_another_form_is_refused(token):
    with pytest.raises(Refused):
        header_of(token)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(raw):
    with suppress(Refused):
        assert isinstance(object_of(raw), dict)


@given(st.text(max_size=100))
def test_no_text_crashes_the_reader(text):
    with suppress(Refused):
        assert isinstance(header_of(text), dict)
