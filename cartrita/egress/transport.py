"""Connects to what a policy admits, and to nothing else."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx

from cartrita.egress.networks import Address
from cartrita.egress.policy import Policy, literal
from cartrita.telemetry.log import traceparent

MOST_ADDRESSES = 3
"""Of one host, tried one after the other."""

_NAMES = ThreadPoolExecutor(16, "egress-names")
"""Threads of their own: a name server that never answers holds each for half a minute."""

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


async def resolved(host: str, port: int) -> Sequence[Address]:
    """Return what the system knows of a name.

    Raises:
        OSError: Nothing.
    """
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_NAMES, ask)
    return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))


class GuardedTransport(httpx.AsyncBaseTransport):
    """Carries requests of an httpx client under a policy, redirects included.

    A name is resolved once for each connection, all of what it leads to is looked at, and the
    connection goes to one of those very addresses, so a second answer of the name server
    changes nothing. Certificates are checked against the name. No proxy is used. What is done for
    a task or a request says so in its `traceparent`, which is two random ids.

    Args:
        policy: What may be called.
        resolve: Names to addresses.
        tls: What certificates are trusted; httpx's choice by default.
        connections: At a time; any number when None.
        keep: Connections kept open for the next request.
        network: What opens connections to addresses.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        resolve: Resolve = resolved,
        tls: ssl.SSLContext | None = None,
        connections: int | None = 100,
        keep: int = 0,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._policy = policy
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or httpx.create_ssl_context(trust_env=False),
            max_connections=connections,
            max_keepalive_connections=keep,
            keepalive_expiry=30.0,
            network_backend=_Pinned(policy, resolve, network or httpcore.AnyIOBackend()),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request.

        Raises:
            AddressRefused: It leads where nobody may go.
        """
        url = request.url
        self._policy.check(url)
        told, trace = request.headers.raw, traceparent()
        if trace and "traceparent" not in request.headers:
            told = [*told, (b"traceparent", trace.encode())]
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=told,
            content=request.stream,
            extensions=request.extensions,
        )
        with _told_as_httpx():
            answer = await self._pool.handle_async_request(asked)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()


class _Pinned(httpcore.AsyncNetworkBackend):
    """Opens connections to addresses that were looked at."""

    def __init__(
        self, policy: Policy, resolve: Resolve, network: httpcore.AsyncNetworkBackend
    ) -> None:
        self._policy, self._resolve, self._network = policy, resolve, network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to one of a host's addresses."""
        known = literal(host)
        try:
            addresses = [known] if known else await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"{host!r} is not known: {error}") from error
        self._policy.check_addresses(host, addresses)
        failure: Exception = httpcore.ConnectError(f"{host!r} leads nowhere.")
        for address in addresses[:MOST_ADDRESSES]:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Wait, between the pool's own retries."""
        await self._network.sleep(seconds)


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _told_as_httpx():
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        with _told_as_httpx():
            await self._answer.aclose()


_SHARED = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


@contextmanager
def _told_as_httpx() -> Iterator[None]:
    """Raise httpx's error of the same name in the place of httpcore's."""
    try:
        yield
    except _SHARED as error:
        raise getattr(httpx, type(error).__name__, httpx.NetworkError)(str(error)) from error
