"""The quotas of those whom we do not know yet, and what answers tell of quotas."""

import ipaddress
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from hashlib import blake2b

from starlette.requests import Request

from cartrita.errors import AuthenticationFailed
from cartrita.rate import Limiter
from serve_apps.asgi.guard import exchange_of

SITE = 64
"""Bits of an IPv6 address that one subscriber has for themselves beyond."""


def left(limiter: Limiter, user: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of draft-ietf-httpapi-ratelimit-headers."""
    standing = limiter.standing(user)
    if standing is None:
        return []
    quota, reset = standing.quota, max(1, math.ceil(standing.reset))
    policy = f'"{quota.name}";q={quota.limit};w={max(1, math.ceil(quota.window))}'
    rest = f'"{quota.name}";r={standing.remaining};t={reset}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", rest.encode())]


class Visitors:
    """Bounds what people without a token may ask for.

    Args:
        addresses: Counts their requests, by address.
        accounts: Counts failed sign-ins, by account.
        behind_edge: Whether our edge is before us, which alone says where a client is: it
            overwrites what the client says of that. Elsewhere the server's word is taken.
    """

    def __init__(self, addresses: Limiter, accounts: Limiter, *, behind_edge: bool = False) -> None:
        self._addresses, self._accounts = addresses, accounts
        self._behind_edge = behind_edge

    async def admit(self, request: Request) -> None:
        """Count a request; the answer will tell what is left of the quota.

        Raises:
            RateLimitExceeded: Its address has made too many.
        """
        bucket = f"address:{self._address(request)}"
        if self._addresses.limited:
            exchange_of(request).more = partial(left, self._addresses, bucket)
        await self._addresses.take(bucket)

    @asynccontextmanager
    async def signing_in(self, email: str) -> AsyncIterator[None]:
        """Count a sign-in, which counts for nothing unless it fails for what was said.

        It is counted before it is tried, so that many at once are no way around. Whether there
        is such an account makes no difference.

        Raises:
            RateLimitExceeded: Too many have failed: not even the right password is looked at.
        """
        name = email.strip().lower().encode("utf-8", "surrogatepass")
        bucket = f"account:{blake2b(name, digest_size=16).hexdigest()}"
        await self._accounts.take(bucket)
        failed = False
        try:
            yield
        except AuthenticationFailed:
            failed = True
            raise
        finally:
            if not failed:
                self._accounts.give_back(bucket)

    def _address(self, request: Request) -> str:
        told = exchange_of(request).headers.get(b"x-forwarded-for", b"").decode("latin-1")
        peer = request.client.host if request.client else ""
        return site_of(peer, told, behind_edge=self._behind_edge)

    async def close(self) -> None:
        """Let go of what counts."""
        await self._addresses.close()
        await self._accounts.close()


def site_of(peer: str, told: str, *, behind_edge: bool) -> str:
    """Return where a client is.

    Args:
        peer: Who is at the other end of the connection.
        told: The header `X-Forwarded-For`.
        behind_edge: Whether our edge is before us, whose word is the last in it.
    """
    return _site((told.rpartition(",")[2] if behind_edge else "").strip() or peer)


def _site(text: str) -> str:
    """Return the address, of IPv6 the part that is not the client's to choose."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), SITE), strict=False))
