"""Gives an answer the form that its client asked for: MessagePack, zstd, gzip."""

import asyncio
import gzip
from typing import Any

import msgpack
import zstandard
from pydantic_core import from_json
from starlette.types import Message, Send

JSON, PROBLEM = b"application/json", b"application/problem+json"
MSGPACK = b"application/msgpack"
PACKED = (MSGPACK, b"application/x-msgpack", b"application/vnd.msgpack")
"""The registered name and two that are older than it."""

LEAST = 1400
"""Bytes of an answer below which compression saves no packet."""

LARGE = 65_536
"""Bytes of an answer from which another thread compresses it."""

_TEXTS = (b"application/json", b"application/problem+json", b"text/", b"application/openmetrics")
ZSTD, GZIP, IDENTITY = b"zstd", b"gzip", b"identity"
_CODINGS = (ZSTD, GZIP)
"""What answers are compressed with, the better one first."""

_VARIES = (b"vary", b"Accept, Accept-Encoding")

_GZIP_LEVEL, _ZSTD_LEVEL = 4, 3


def shaping(headers: dict[bytes, bytes], send: Send) -> Send:
    """Return what sends an answer in the form that a request's headers ask for."""
    packs = prefers_packed(headers.get(b"accept", b""))
    coding = coding_for(headers.get(b"accept-encoding", b""))
    return Shaper(send, packs=packs, coding=coding) if packs or coding else send


def prefers_packed(accept: bytes) -> bool:
    """Tell whether an `Accept` names MessagePack, and not JSON before it."""
    if b"msgpack" not in accept.lower():
        return False
    ranges = _weighed(accept)
    packed = [item for item in ranges if item[0] in PACKED and item[1] > 0]
    plain = [item for item in ranges if item[0] in (JSON, b"application/*", b"*/*")]
    if not packed:
        return False
    best = max(packed, key=lambda item: item[1])
    return all(item[1] < best[1] or ranges.index(item) > ranges.index(best) for item in plain)


def coding_for(header: bytes) -> bytes | None:
    """Return the coding that an `Accept-Encoding` asks for by name; None to send it plain.

    Of several the one with the most weight, and of equals the one that compresses better.
    """
    if not header:
        return None
    weights = dict(_weighed(header))
    best = max(_CODINGS, key=lambda coding: weights.get(coding, 0.0))
    weight = weights.get(best, 0.0)
    return best if weight > 0 and weight >= weights.get(IDENTITY, 0.0) else None


def _weighed(header: bytes) -> list[tuple[bytes, float]]:
    found = []
    for part in header.lower().split(b","):
        name, *parameters = (piece.strip() for piece in part.split(b";"))
        weight = next((p[2:] for p in parameters if p.startswith(b"q=")), b"1")
        try:
            found.append((name, float(weight)))
        except ValueError:
            found.append((name, 0.0))
    return found


class Shaper:
    """Holds one answer until it is whole, if it is to be changed; lets others pass."""

    def __init__(self, send: Send, *, packs: bool, coding: bytes | None) -> None:
        self._send, self._packs, self._coding = send, packs, coding
        self._start: Message | None = None
        self._parts: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        """Pass on a part of the answer."""
        if message["type"] == "http.response.start" and self._changes(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._finish(self._start)

    def _changes(self, start: Message) -> bool:
        """Tell whether an answer is to be changed: one of known length and plain form."""
        told = dict(start["headers"])
        length, kind = told.get(b"content-length"), told.get(b"content-type", b"")
        fixed = b"no-transform" in told.get(b"cache-control", b"")
        if length is None or fixed or b"content-encoding" in told:
            return False
        self._packs = self._packs and kind in (JSON, PROBLEM)
        if int(length) < LEAST or not kind.startswith(_TEXTS):
            self._coding = None
        return self._packs or self._coding is not None

    async def _finish(self, start: Message) -> None:
        body, told = b"".join(self._parts), dict[bytes, bytes]()
        if self._packs:
            body = pack(from_json(body))
            told[b"content-type"] = MSGPACK
        if self._coding:
            body = await _compressed(self._coding, body)
            told[b"content-encoding"] = self._coding
        told[b"content-length"] = str(len(body)).encode()
        kept = [item for item in start["headers"] if item[0] not in told and item != _VARIES]
        headers = [*kept, *told.items(), _VARIES]
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def pack(value: Any) -> bytes:
    """Return JSON's values as MessagePack."""
    packed: bytes = msgpack.packb(value)
    return packed


async def _compressed(coding: bytes, body: bytes) -> bytes:
    if len(body) < LARGE:
        return _compress(coding, body)
    return await asyncio.to_thread(_compress, coding, body)


def _compress(coding: bytes, body: bytes) -> bytes:
    if coding == GZIP:
        return gzip.compress(body, _GZIP_LEVEL, mtime=0)
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)
