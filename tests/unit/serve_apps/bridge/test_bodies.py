"""Tests of serve_apps/bridge/bodies.py."""

import pytest
from starlette.requests import Request

from serve_apps.bridge.bodies import query_of
from tests.support.bridged import bridged


def query(text):
    return query_of(Request({"type": "http", "query_string": text, "headers": []}))


def test_a_name_that_comes_more_than_once_is_a_list():
    assert query(b"") == {}
    assert query(b"a=1&b=&a=2&a=") == {"a": ["1", "2", ""], "b": ""}


def test_a_name_that_comes_very_often_takes_no_longer_than_its_length():
    assert len(query(b"&".join([b"a="] * 60_000))["a"]) == 60_000


PART = b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\n%b\r\n--x--\r\n'


@pytest.fixture
async def api():
    async with bridged() as api:
        yield api


@pytest.mark.parametrize("charset", ["punycode", "idna", "undefined", '"PUNYCODE"', "utf-16"])
@pytest.mark.parametrize("again", [[], [("content-type", "multipart/form-data; boundary=x")]])
async def test_a_form_is_read_as_utf_8_only(api, charset, again):
    """`punycode` takes 15 seconds for 400 kB, and hours for what a form may have."""
    first = ("content-type", f"multipart/form-data; boundary=x; charset={charset}")
    body = PART % (b"b" * 1000 + b"-" + b"a" * 1000)
    answer = await api.http.post("/api/auth/login", content=body, headers=[first, *again])
    assert (answer.status_code, answer.json()["error"]) == (400, "Forms are read as UTF-8")


@pytest.mark.parametrize("charset", ["", "; charset=UTF-8"])
async def test_what_browsers_say_of_a_form_is_fine(api, charset):
    kind = {"content-type": f"multipart/form-data; boundary=x{charset}"}
    body = PART % "ä@b.example".encode()
    answer = await api.http.post("/api/auth/login", content=body, headers=kind)
    assert answer.json()["error"] == "Email/username and password are required"
