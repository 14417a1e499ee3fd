"""Reading requests and writing answers."""

import json

import pytest
from starlette.requests import Request

from cartrita.errors import AuthenticationFailed, InvalidMessage
from serve_apps.asgi.guard import Exchange
from serve_apps.asgi.messages import bearer, header_text, read_json, reply


def request_of(body=b"", **headers):
    lines = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": lines}

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    scope["exchange"] = Exchange(scope, receive, receive, 1000, 1.0)
    return Request(scope)


@pytest.mark.parametrize("header", [b"Bearer abc", b"bearer abc", b"BEARER  abc "])
def test_finds_the_token(header):
    assert bearer(request_of(authorization=header)) == "abc"


@pytest.mark.parametrize("header", [b"", b"abc", b"Bearer", b"Basic abc", b"Bearer " + b"a" * 9000])
def test_says_where_tokens_come_from(header):
    with pytest.raises(AuthenticationFailed, match="/auth/login"):
        bearer(request_of(authorization=header))


def test_a_request_without_the_header_has_no_token():
    with pytest.raises(AuthenticationFailed):
        bearer(request_of())


@pytest.mark.parametrize(
    "kind", [b"application/json", b"Application/JSON; charset=utf-8", b"application/ld+json"]
)
async def test_reads_what_is_json(kind):
    assert await read_json(request_of(b"{}", content_type=kind)) == b"{}"


@pytest.mark.parametrize("kind", [b"", b"text/json", b"application/jsonp", b"\xff"])
async def test_refuses_what_says_that_it_is_something_else(kind):
    with pytest.raises(InvalidMessage, match="application/json"):
        await read_json(request_of(b"{}", content_type=kind))


async def test_refuses_what_is_packed():
    kind = b"application/json"
    packed = request_of(b"{}", content_type=kind, content_encoding=b"GZIP")
    plain = request_of(b"{}", content_type=kind, content_encoding=b"Identity")

    with pytest.raises(InvalidMessage, match="Content-Encoding"):
        await read_json(packed)
    assert await read_json(plain) == b"{}"


def test_reads_a_header_with_or_without_quotes():
    for written in (b"abc", b'"abc"', b'  "abc"  '):
        assert header_text(request_of(some_key=written), "Some-Key", str.isalpha) == "abc"
    assert header_text(request_of(), "Some-Key", str.isalpha) is None


def test_names_the_header_that_is_wrong():
    with pytest.raises(InvalidMessage) as caught:
        header_text(request_of(some_key=b"1"), "Some-Key", str.isalpha)

    assert caught.value.fields == (("Some-Key", "is wrong"),)


def test_answers_in_json_that_everybody_can_read():
    answer = reply({"a": float("nan"), "b": [float("inf")], "c": "é"}, 201, {"X-A": "b"})

    assert answer.status_code == 201
    assert answer.headers["x-a"] == "b"
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body) == {"a": None, "b": [None], "c": "é"}
