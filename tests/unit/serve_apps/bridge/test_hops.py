"""Tests of which headers go on to v2 and come back."""

from hypothesis import given
from hypothesis import strategies as st

from serve_apps.bridge.canary.hops import ANSWER, SERVED_BY, back, media_type, onward

HOPS = [
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
]  # fmt: skip
names = st.sampled_from([*HOPS, b"accept", b"x-a", b"x-b", b"authorization", b"set-cookie"])
headers = st.lists(st.tuples(names, st.sampled_from([b"x-a", b"close, X-B", b"1", b""])))


@given(headers)
def test_nothing_of_one_connection_goes_any_further(given_headers):
    named = {
        word.strip().lower()
        for name, value in given_headers
        if name == b"connection"
        for word in value.split(b",")
    }
    for found in (onward(given_headers, "p", "http"), back(given_headers)):
        assert not {name for name, _ in found} & ({*HOPS} | named)


@given(headers)
def test_all_else_goes_on_in_its_order(given_headers):
    kept = [item for item in given_headers if item[0] not in {*HOPS, b"x-a", b"x-b"}]
    for found in (onward(given_headers, "p", "http"), back(given_headers)):
        assert [item for item in found if item in kept] == kept


def test_v2_hears_who_asked_and_how():
    came = [
        (b"host", b"cartrita.example:8001"),
        (b"x-forwarded-for", b"198.51.100.7"),
        (b"expect", b"100-continue"),
        (b"content-length", b"3"),
    ]
    found = dict(onward(came, "127.0.0.1", "https"))
    assert found == {
        b"x-forwarded-for": b"198.51.100.7, 127.0.0.1",
        b"x-forwarded-host": b"cartrita.example:8001",
        b"x-forwarded-proto": b"https",
        b"content-length": b"3",
        ANSWER: b"bridge",
    }


def test_what_the_edge_said_of_the_scheme_stands():
    found = onward([(b"x-forwarded-proto", b"https")], "p", "http")
    assert [value for name, value in found if name == b"x-forwarded-proto"] == [b"https"]


def test_a_length_beside_chunks_is_dropped():
    found = onward([(b"transfer-encoding", b"chunked"), (b"content-length", b"5")], "p", "http")
    assert b"content-length" not in dict(found)


def test_credentials_of_v3_are_not_sent_to_v2():
    came = [(b"authorization", b"Bearer x"), (b"x-api-key", b"ctk_x"), (b"cookie", b"a=b")]
    assert {b"authorization", b"x-api-key", b"cookie"} <= set(dict(onward(came, "p", "http")))
    assert set(dict(onward(came, "p", "http", ours=True))).isdisjoint(dict(came))


def test_several_cookies_come_back_and_who_answered_is_said():
    found = back([(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"Date", b"x")])
    assert found == [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (SERVED_BY, b"v2")]


def test_a_media_type_is_read_without_its_parameters():
    assert media_type([(b"Content-Type", b"Application/JSON; charset=utf-8")]) == "application/json"
    assert media_type([]) == ""
