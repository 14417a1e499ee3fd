"""What the two clients ask of httpx, and what its answers mean to them."""

import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgpack
from pydantic_core import from_json

from cartrita import __version__
from cartrita.client.steps import Broken, Call, Lost, Reply
from cartrita.errors import ConfigurationInvalid

CONNECT = 5.0
"""Seconds to connect."""

PACKED: Final = "application/msgpack"

ENDED = Lost("The stream ended before its task.", sent=True)
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)


def loopback(url: str) -> bool:
    """Tell whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def options(base_url: str, ca: Path | str | None = None) -> dict[str, Any]:
    """Return the arguments of an httpx client.

    Raises:
        ConfigurationInvalid: The address is none of HTTP's, or the authority's file is none.
    """
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise ConfigurationInvalid(
            f"{base_url!r} is no address of Cartrita; one looks like 'http://127.0.0.1:8002'."
        )
    return {
        "base_url": base_url,
        "headers": {"Accept": "application/json", "User-Agent": f"cartrita/{__version__}"},
        "limits": _LIMITS,
        # A proxy of the environment does not lead to this machine.
        "trust_env": not loopback(base_url),
        "verify": True if ca is None else _trusting(ca),
    }


def _trusting(ca: Path | str) -> ssl.SSLContext:
    """Return a context that trusts an authority beside the system's."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationInvalid(
            f"{str(ca)!r} holds no authority to trust ({error.strerror or error})."
        ) from None
    return context


def request(call: Call, *, packed: bool = False) -> dict[str, Any]:
    """Return the arguments of httpx's `request` for a call.

    Args:
        call: The call; its own headers win.
        packed: Whether what is JSON in it goes as MessagePack, and comes back so.
    """
    kind = {"Accept": PACKED} if packed else {}
    if call.body is not None:
        kind["Content-Type"] = PACKED if packed else "application/json"
    return {
        "method": call.method,
        "url": call.path,
        "params": call.query,
        "headers": {**kind, **call.headers},
        "content": call.parts() if call.parts else body_of(call, packed=packed),
        "timeout": httpx.Timeout(call.timeout, connect=min(CONNECT, call.timeout)),
    }


def body_of(call: Call, *, packed: bool) -> bytes | None:
    """Return the bytes of a call's body."""
    if not packed or call.body is None:
        return call.body
    body: bytes = msgpack.packb(from_json(call.body))
    return body


def reply(response: httpx.Response) -> Reply:
    """Return an answer without httpx."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, response.content)


def streams(call: Call, response: httpx.Response) -> bool:
    """Tell whether an answer's body is to be read as it comes; refusals are read at once."""
    return call.streamed and response.is_success


def stream(response: httpx.Response, source: Any) -> Reply:
    """Return an answer whose body is still to come, from a source."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, b"", source)


class Body:
    """The body of an answer, as it comes."""

    def __init__(self, response: httpx.Response, base_url: str) -> None:
        self._response, self._base_url = response, base_url

    def parts(self) -> Iterator[bytes]:
        """Yield it.

        Raises:
            Broken: It ended too early.
        """
        try:
            yield from self._response.iter_bytes()
        except httpx.RequestError as error:
            raise Broken(lost(error, self._base_url)) from error

    def close(self) -> None:
        """Read no more."""
        self._response.close()


class AsyncBody:
    """The same for an event loop."""

    def __init__(self, response: httpx.Response, base_url: str) -> None:
        self._response, self._base_url = response, base_url

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield it.

        Raises:
            Broken: It ended too early.
        """
        try:
            async for part in self._response.aiter_bytes():
                yield part
        except httpx.RequestError as error:
            raise Broken(lost(error, self._base_url)) from error

    async def close(self) -> None:
        """Read no more."""
        await self._response.aclose()


def lost(error: httpx.RequestError, base_url: str) -> Lost:
    """Say what became of a call that was not answered."""
    why = str(error) or type(error).__name__
    if isinstance(error, _UNSENT):
        return Lost(f"{base_url!r} cannot be reached ({why}): check that it runs.", sent=False)
    return Lost(f"{base_url!r} did not answer ({why}); what it did is unknown.", sent=True)
