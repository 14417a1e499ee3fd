"""What the two clients ask of httpx, and what its answers mean to them."""

import ipaddress
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from cartrita import __version__
from cartrita.client.steps import Call, Lost, Reply
from cartrita.errors import ConfigurationInvalid

CONNECT = 5.0
"""Seconds to connect."""

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


def request(call: Call) -> dict[str, Any]:
    """Return the arguments of httpx's `request` for a call."""
    kind = {"Content-Type": "application/json"} if call.body is not None else {}
    return {
        "method": call.method,
        "url": call.path,
        "params": call.query,
        "headers": {**kind, **call.headers},
        "content": call.body,
        "timeout": httpx.Timeout(call.timeout, connect=min(CONNECT, call.timeout)),
    }


def reply(response: httpx.Response) -> Reply:
    """Return an answer without httpx."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, response.content)


def streams(call: Call, response: httpx.Response) -> bool:
    """Tell whether an answer's body is to be read as it comes; refusals are read at once."""
    return call.streamed and response.is_success


def stream(response: httpx.Response) -> Reply:
    """Return an answer whose body is still to come, without httpx but for its source."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, b"", response)


def lost(error: httpx.RequestError, base_url: str) -> Lost:
    """Say what became of a call that was not answered."""
    why = str(error) or type(error).__name__
    if isinstance(error, _UNSENT):
        return Lost(f"{base_url!r} cannot be reached ({why}): check that it runs.", sent=False)
    return Lost(f"{base_url!r} did not answer ({why}); what it did is unknown.", sent=True)
