"""Opens WebSockets, and turns what happens to them into what calls answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
from pydantic_core import to_json
from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from cartrita import __version__
from cartrita.client.listening import LONGEST_EVENT, read_message
from cartrita.client.steps import Broken, Call, Lost, Reply
from cartrita.client.transport import CONNECT, body_of, loopback

LEAVE = 1.0
"""Seconds in which a server may say goodbye, too."""

_FAILURES = (OSError, TimeoutError, WebSocketException)  # each of them: there is no answer
_OVER, _THERE, _REFUSED = 204, 200, 400


class Socket:
    """What a socket says, as it comes."""

    def __init__(self, connection: ClientConnection, base_url: str) -> None:
        self._connection, self._base_url = connection, base_url

    def parts(self) -> Iterator[str | bytes]:
        """Yield its messages.

        Raises:
            Broken: It was closed.
        """
        while True:
            try:
                message = self._connection.recv()
            except ConnectionClosed as error:
                raise Broken(_lost(error, self._base_url, sent=True)) from error
            yield message

    def close(self) -> None:
        """Leave."""
        self._connection.close()


class AsyncSocket:
    """The same for an event loop."""

    def __init__(self, connection: AsyncConnection, base_url: str) -> None:
        self._connection, self._base_url = connection, base_url

    async def parts(self) -> AsyncIterator[str | bytes]:
        """Yield its messages.

        Raises:
            Broken: It was closed.
        """
        while True:
            try:
                message = await self._connection.recv()
            except ConnectionClosed as error:
                raise Broken(_lost(error, self._base_url, sent=True)) from error
            yield message

    async def close(self) -> None:
        """Leave."""
        await self._connection.close()


def dial(call: Call, base_url: str, *, packed: bool) -> Reply | Lost:
    """Open a socket, send a call over it and wait for the answer."""
    try:
        opening = connect(_address(call, base_url), **_options(call, base_url))
        connection = opening.__enter__()  # left by `close`, perhaps much later
    except _FAILURES as error:
        return _lost(error, base_url, sent=False)
    try:
        connection.send(_message(call, packed=packed))
        told = connection.recv(timeout=call.timeout)
    except _FAILURES as error:
        connection.close()
        return _lost(error, base_url, sent=True)
    answer = _answer(told, Socket(connection, base_url))
    if answer.source is None:
        connection.close()
    return answer


async def dial_async(call: Call, base_url: str, *, packed: bool) -> Reply | Lost:
    """Do the same in an event loop."""
    try:
        options = _options(call, base_url)
        connection = await connect_async(_address(call, base_url), **options)
    except _FAILURES as error:
        return _lost(error, base_url, sent=False)
    try:
        await connection.send(_message(call, packed=packed))
        told = await _within(connection, call.timeout)
    except _FAILURES as error:
        await connection.close()
        return _lost(error, base_url, sent=True)
    except BaseException:  # somebody does not want to wait any more
        connection.transport.abort()
        raise
    answer = _answer(told, AsyncSocket(connection, base_url))
    if answer.source is None:
        await connection.close()
    return answer


async def _within(connection: AsyncConnection, seconds: float) -> str | bytes:
    async with asyncio.timeout(seconds):
        return await connection.recv()


def _address(call: Call, base_url: str) -> str:
    parts = urlsplit(base_url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + call.path, "", ""))


def _options(call: Call, base_url: str) -> dict[str, Any]:
    here = loopback(base_url)
    options: dict[str, Any] = {
        "additional_headers": dict(call.headers),
        "user_agent_header": f"cartrita/{__version__}",
        "open_timeout": min(2 * CONNECT, call.timeout),
        "close_timeout": LEAVE,
        "max_size": LONGEST_EVENT,
        "compression": None,
        "proxy": None if here else True,
    }
    if urlsplit(base_url).scheme == "https":  # trusts whom our calls over HTTP trust
        options["ssl"] = httpx.create_ssl_context(trust_env=not here)
    return options


def _message(call: Call, *, packed: bool) -> str | bytes:
    body = body_of(call, packed=packed) or b""
    return body if packed else body.decode()


def _answer(told: str | bytes, source: Any) -> Reply:
    """Return the answer to the first message as HTTP would have it.

    A token that is not accepted is told unasked, before that; it is a refusal all the same.
    """
    said = read_message(told)
    if said.get("ok"):
        over = bool((said.get("result") or {}).get("done"))
        return Reply(_OVER if over else _THERE, {}, to_json(said), source)
    error = dict(said.get("error") or {})
    after = error.pop("retryAfter", None)
    headers = {} if after is None else {"retry-after": str(after)}
    return Reply(_REFUSED, headers, json.dumps({"detail": error.get("message"), **error}).encode())


def _lost(error: Exception, base_url: str, *, sent: bool) -> Lost:
    why = str(error) or type(error).__name__
    return Lost(f"The WebSocket of {base_url!r} broke or was not opened ({why}).", sent=sent)
