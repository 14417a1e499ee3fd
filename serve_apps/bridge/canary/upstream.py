"""The v2 that still runs: asked over HTTP, and left alone while it cannot be reached."""

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
from pydantic_core import from_json

from cartrita.bridge.compare import Answer
from cartrita.clock import Clock
from cartrita.errors import (
    AddressRefused,
    CartritaError,
    InvalidMessage,
    NetworkFailed,
    ServiceUnavailable,
)
from cartrita.storage.circuits import Circuit
from cartrita.telemetry.log import get_logger
from serve_apps.bridge.canary.hops import Headers, media_type

log = get_logger(__name__)

SAFE = ("GET", "HEAD", "OPTIONS")
"""What may be asked twice."""

MOST = 1 << 18
"""Bytes of an answer that is compared."""

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_GZIP_OR_ZLIB = 47


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for v2.

    Attributes:
        target: Path and query, as they came.
        body: Its body, or what gives it; None where it has none.
    """

    method: str
    target: bytes
    headers: Headers = field(repr=False)
    body: bytes | AsyncIterator[bytes] | None = field(default=None, repr=False)


class Upstream:
    """The v2 of the settings, and no other: neither a path nor a redirect leads elsewhere.

    Args:
        url: Its address, perhaps with a path before every path.
        transport: What carries requests.
        connect: Seconds to connect, or for a place among the connections.
        silence: Seconds it may send and take nothing.
    """

    def __init__(
        self,
        url: str,
        transport: httpx.AsyncBaseTransport,
        clock: Clock,
        *,
        connect: float = 2.0,
        silence: float = 60.0,
    ) -> None:
        self.url = url.rstrip("/")
        base = httpx.URL(self.url)
        self._base, self._prefix = base, base.raw_path.rstrip(b"/")
        self._transport, self._clock = transport, clock
        self._times = {"connect": connect, "pool": connect, "read": silence, "write": silence}
        self._circuit = Circuit()

    @property
    def away(self) -> bool:
        """Whether it is left alone for now."""
        return self._circuit.wait(self._clock.now()) > 0

    async def ask(self, asked: Asked, silence: float | None = None) -> httpx.Response:
        """Return the head of its answer; the body is still to be read, and to be closed.

        Raises:
            ServiceUnavailable: It is away, or left alone: it has not seen the request.
            NetworkFailed: It broke off, or said nothing for too long.
            InvalidMessage: It cannot be asked that.
        """
        wait = self._circuit.wait(self._clock.now())
        if wait:
            raise ServiceUnavailable("v2 cannot be reached now.", retry_after=wait)
        self._circuit = self._circuit.asked(self._clock.now())
        try:
            answer = await self._transport.handle_async_request(self._request(asked, silence))
        except httpx.LocalProtocolError as error:  # that is no failure of v2's
            raise InvalidMessage("The request has a header that HTTP does not allow.") from error
        except (httpx.HTTPError, CartritaError) as error:
            raise self._failed(error) from error
        self._circuit = Circuit()
        return answer

    def _request(self, asked: Asked, silence: float | None) -> httpx.Request:
        url = self._base.copy_with(raw_path=self._prefix + asked.target)
        times = self._times | ({} if silence is None else {"read": silence, "write": silence})
        return httpx.Request(
            asked.method,
            url,
            headers=[(b"host", self._base.netloc), *asked.headers],
            content=asked.body,
            extensions={"timeout": times},
        )

    def _failed(self, error: Exception) -> CartritaError:
        if isinstance(error, AddressRefused):
            log.warning("v2_refused", error=error.message)
            return ServiceUnavailable("The setting migration.v2_url leads where nobody may go.")
        if isinstance(error, CartritaError) and not isinstance(error, NetworkFailed):
            return error  # what is wrong is the body that we were sending
        self._circuit = self._circuit.failed(self._clock.now())
        if isinstance(error, _UNSENT):
            return ServiceUnavailable("v2 cannot be reached now.", retry_after=1)
        if isinstance(error, httpx.TimeoutException):
            return NetworkFailed("v2 did not answer in time.")
        return NetworkFailed(f"v2 broke off ({type(error).__name__}).")

    async def whole(self, asked: Asked, silence: float) -> Answer | None:
        """Return its whole answer for a comparison; None where that is too long for one.

        Raises:
            ServiceUnavailable: It is away, or left alone: it has not seen the request.
            NetworkFailed: It broke off, or said nothing for too long.
        """
        response = await self.ask(asked, silence)
        parts, size = [], 0
        try:
            async for part in response.aiter_raw():
                size += len(part)
                if size > MOST:
                    return None
                parts.append(part)
        except httpx.HTTPError as error:
            raise NetworkFailed(f"v2 broke off ({type(error).__name__}).") from error
        finally:
            await response.aclose()
        return answer_of(response.status_code, response.headers.raw, b"".join(parts))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


def answer_of(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Answer | None:
    """Return an answer for a comparison; None for one that cannot be read."""
    kind = media_type(headers)
    answer = Answer(status, kind)
    if not answer.is_json:
        return answer
    coding = next((value for name, value in headers if name.lower() == b"content-encoding"), b"")
    try:
        text = _unpacked(body, coding.strip().lower())
        return Answer(status, kind, from_json(text))
    except (ValueError, zlib.error):
        return None


def _unpacked(body: bytes, coding: bytes) -> bytes:
    if coding in (b"", b"identity"):
        return body
    if coding not in (b"gzip", b"x-gzip", b"deflate"):
        raise ValueError(f"packed as {coding!r}")
    unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
    text = unpack.decompress(body, 8 * MOST)
    if not unpack.eof:
        raise ValueError("longer than is compared")
    return text
