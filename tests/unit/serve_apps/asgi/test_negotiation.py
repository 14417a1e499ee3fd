"""Answers take the form that their clients ask for."""

import gzip
import json

import msgpack
import pytest
import zstandard

from serve_apps.asgi.negotiation import LARGE, LEAST, coding_for, prefers_packed, shaping


@pytest.mark.parametrize(
    ("accept", "packed"),
    [
        (b"application/msgpack", True),
        (b"application/x-msgpack", True),
        (b"Application/MsgPack; q=0.2, application/json; q=0.1", True),
        (b"application/msgpack, application/json", True),
        (b"application/msgpack, */*;q=0.8", True),
        (b"application/json, application/msgpack", False),
        (b"application/json, application/msgpack;q=0.9", False),
        (b"*/*, application/msgpack;q=0.5", False),
        (b"application/msgpack;q=0", False),
        (b"application/msgpack;q=much", False),
        (b"application/json", False),
        (b"*/*", False),
        (b"", False),
        (b"msgpack", False),
    ],
)
def test_messagepack_is_for_who_prefers_it(accept, packed):
    assert prefers_packed(accept) is packed


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (b"gzip", b"gzip"),
        (b"br, gzip;q=0.1", b"gzip"),
        (b"gzip;q=0", None),
        (b"zstd", b"zstd"),
        (b"gzip, deflate, br, zstd", b"zstd"),
        (b"GZIP;q=0.9, Zstd;q=0.8", b"gzip"),
        (b"zstd;q=0, gzip;q=0.2", b"gzip"),
        (b"zstd;q=much", None),
        (b"identity, gzip;q=0.5", None),
        (b"identity;q=0.5, gzip", b"gzip"),
        (b"br, *", None),
        (b"", None),
    ],
)
def test_a_coding_is_for_who_names_it_and_the_one_with_most_weight(header, coding):
    assert coding_for(header) == coding


async def answered(asked, body, kind=b"application/json", parts=1, **headers):
    """Send an answer through and return its headers and its body."""
    sent = []

    async def send(message):
        sent.append(message)

    told = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    told += [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    out = shaping(asked, send)
    await out({"type": "http.response.start", "status": 201, "headers": told})
    size = -(-len(body) // parts) or 1
    cut = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    for place, part in enumerate(cut):
        more = place < len(cut) - 1
        await out({"type": "http.response.body", "body": part, "more_body": more})
    assert sent[0]["status"] == 201
    whole = b"".join(message["body"] for message in sent[1:])
    found = dict(sent[0]["headers"])
    assert int(found[b"content-length"]) == len(whole)
    return found, whole


PACKED = {b"accept": b"application/msgpack"}
ZIPPED = {b"accept-encoding": b"deflate, gzip, br"}
OPENERS = {b"gzip": gzip.decompress, b"zstd": zstandard.decompress}
VALUE = {"a": [1, 2.5, None, "é"], "b": {"c": True}}


@pytest.mark.parametrize("kind", [b"application/json", b"application/problem+json"])
@pytest.mark.parametrize("parts", [1, 3])
async def test_json_becomes_messagepack(kind, parts):
    headers, body = await answered(PACKED, json.dumps(VALUE).encode(), kind, parts)
    assert msgpack.unpackb(body) == VALUE
    assert headers[b"content-type"] == b"application/msgpack"
    assert headers[b"vary"] == b"Accept, Accept-Encoding"


@pytest.mark.parametrize("size", [LEAST, LARGE + 1])
@pytest.mark.parametrize("coding", OPENERS)
async def test_what_is_long_is_compressed(size, coding):
    text = json.dumps(["x" * size]).encode()
    headers, body = await answered({b"accept-encoding": coding}, text, parts=4)
    assert headers[b"content-encoding"] == coding
    assert headers[b"vary"] == b"Accept, Accept-Encoding"
    assert OPENERS[coding](body) == text
    assert len(body) < len(text)


async def test_both_go_together():
    value = ["x" * LEAST]
    headers, body = await answered(PACKED | ZIPPED, json.dumps(value).encode())
    assert headers[b"content-encoding"] == b"gzip"
    assert msgpack.unpackb(gzip.decompress(body)) == value


@pytest.mark.parametrize(
    ("asked", "body", "kind", "more"),
    [
        ({}, b"[1]", b"application/json", {}),
        (ZIPPED, b"[1]", b"application/json", {}),
        (ZIPPED, b"x" * LEAST, b"image/png", {}),
        (ZIPPED, b"x" * LEAST, b"text/plain", {"content_encoding": b"br"}),
        (PACKED, b"x", b"text/html", {}),
    ],
)
async def test_everything_else_stays_as_it_is(asked, body, kind, more):
    headers, whole = await answered(asked, body, kind, **more)
    assert whole == body
    assert headers[b"content-type"] == kind
    assert b"vary" not in headers


async def test_a_stream_is_passed_on_as_it_comes():
    sent = []

    async def send(message):
        sent.append(message)

    out = shaping(PACKED | ZIPPED, send)
    start = {"type": "http.response.start", "status": 200, "headers": []}
    part = {"type": "http.response.body", "body": b"a", "more_body": True}
    await out(start)
    await out(part)
    assert sent == [start, part]
