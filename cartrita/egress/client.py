"""Asks for things over HTTP, with every bound that a stranger's answer needs."""

import asyncio
import ssl
import zlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from cartrita.egress.policy import Policy, read
from cartrita.egress.transport import GuardedTransport, Resolve, resolved
from cartrita.errors import AddressRefused, AgentFailed, NetworkFailed

Before = Callable[[httpx.URL], Awaitable[None]]
"""Looks at each address before it is asked, those of redirects included; raises to stop."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one answer may cost.

    Attributes:
        bytes: Of the body, as it came and unpacked.
        seconds: From the first look-up of a name to the last byte, redirects included.
        redirects: Followed one after the other.
    """

    bytes: int = 5 << 20
    seconds: float = 10.0
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        url: What answered, after redirects.
        kind: The media type, lower case, without parameters.
        body: Unpacked; empty where an error came as something nobody asked for.
    """

    url: str
    status: int
    kind: str
    body: bytes
    charset: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return httpx.codes.is_success(self.status)


class Egress:
    """A client for addresses that callers, models, pages or operators name.

    It keeps no cookies, uses no proxies, takes nothing from the environment, and opens a
    connection for each request.

    Args:
        policy: What may be called.
        user_agent: Who we say we are.
        bounds: Of each answer.
        resolve: Names to addresses.
        tls: What certificates are trusted; httpx's choice by default.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        user_agent: str = "Cartrita",
        bounds: Bounds | None = None,
        resolve: Resolve = resolved,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._policy, self._bounds = policy, bounds or Bounds()
        self._user_agent, self._resolve, self._tls = user_agent, resolve, tls
        self._http: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()

    def _client(self) -> httpx.AsyncClient:
        """Return the client, made on first use: reading the certificates takes its time."""
        if self._http is None:
            self._http = httpx.AsyncClient(
                transport=GuardedTransport(self._policy, resolve=self._resolve, tls=self._tls),
                timeout=self._bounds.seconds,
                follow_redirects=False,
                trust_env=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                headers={"User-Agent": self._user_agent, "Accept-Encoding": "gzip"},
            )
        return self._http

    async def ask(
        self,
        url: str,
        *,
        kinds: Collection[str],
        before: Before | None = None,
        method: str = "GET",
        **request: Any,
    ) -> Answer:
        """Return what a URL answers, whatever its status.

        Args:
            url: Where to ask.
            kinds: Media types that are wanted; `text/*`, `*+json` and `*/*` stand for many.
            before: Asked about each address on the way.
            method: GET, or what an operator's service wants.
            request: As httpx's `build_request` has it: `params`, `json`, `headers`.

        Raises:
            AddressRefused: It, or what it redirects to, may not be called.
            NetworkFailed: Nobody answers, or not in time.
            AgentFailed: The answer is too large, or nothing that is wanted.
        """
        target = read(url)
        accept = {"Accept": ", ".join(kind for kind in kinds if "*+" not in kind)}
        headers = accept | dict(request.pop("headers", None) or {})
        made = self._client().build_request(method, target, headers=headers, **request)
        try:
            async with asyncio.timeout(self._bounds.seconds):
                return await self._follow(made, kinds, before)
        except (TimeoutError, httpx.TimeoutException):
            raise NetworkFailed(
                f"{target.host!r} did not answer within {self._bounds.seconds:g} s."
            ) from None
        except httpx.InvalidURL as error:
            raise AddressRefused(f"{target.host!r} redirects to no address: {error}") from None
        except httpx.HTTPError as error:
            kind = type(error).__name__
            raise NetworkFailed(
                f"{target.host!r} cannot be reached: {kind}: {str(error)[:200]}"
            ) from error

    async def _follow(
        self, request: httpx.Request, kinds: Collection[str], before: Before | None
    ) -> Answer:
        for _ in range(self._bounds.redirects + 1):
            self._policy.check(request.url)
            if before is not None:
                await before(request.url)
            response = await self._client().send(request, stream=True)
            try:
                if response.next_request is None:
                    return await self._read(response, kinds)
                request = response.next_request
            finally:
                await response.aclose()
        raise AgentFailed(
            f"{str(request.url)!r} redirects more than {self._bounds.redirects} times."
        )

    async def _read(self, response: httpx.Response, kinds: Collection[str]) -> Answer:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        wanted = any(_matches(kind, pattern) for pattern in kinds)
        if response.is_success and not wanted:
            raise AgentFailed(f"{str(response.url)!r} is {kind or 'of no kind that it tells'!r}.")
        body = await self._body(response) if wanted else b""
        return Answer(
            str(response.url),
            response.status_code,
            kind,
            body,
            response.charset_encoding,
            response.headers,
        )

    async def _body(self, response: httpx.Response) -> bytes:
        """Return the body, unpacked: neither form of it may pass the bound."""
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        if packed not in ("identity", "gzip", "x-gzip", "deflate"):
            raise AgentFailed(f"{str(response.url)!r} is packed as {packed!r}, unasked.")
        unpack = None if packed == "identity" else zlib.decompressobj(_GZIP_OR_ZLIB)
        came, most, parts = 0, self._bounds.bytes, list[bytes]()
        room = most
        async for chunk in response.aiter_raw():
            came += len(chunk)
            part = chunk if unpack is None else _unpacked(unpack, chunk, room + 1, response)
            room -= len(part)
            if came > most or room < 0:
                raise AgentFailed(f"{str(response.url)!r} is larger than {most} bytes.")
            parts.append(part)
        if unpack is not None and came and not unpack.eof:
            raise AgentFailed(f"{str(response.url)!r} ended too early.")
        return b"".join(parts)


def _unpacked(unpack: Any, chunk: bytes, most: int, response: httpx.Response) -> bytes:
    try:
        data: bytes = unpack.decompress(chunk, most)
    except zlib.error as error:
        raise AgentFailed(f"{str(response.url)!r} cannot be unpacked: {error}") from None
    return data


def _matches(kind: str, pattern: str) -> bool:
    if pattern == "*/*":
        return True
    if pattern.startswith("*"):
        return kind.endswith(pattern[1:])
    if pattern.endswith("*"):
        return kind.startswith(pattern[:-1])
    return kind == pattern
