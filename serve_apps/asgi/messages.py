"""Reads what a request holds and writes JSON answers."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from cartrita.errors import AuthenticationFailed, InvalidMessage
from cartrita.protocol.principal import is_key
from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.negotiation import PACKED
from serve_apps.asgi.strict import Packed

JSON = "application/json"
_PACKED = {kind.decode() for kind in PACKED}
LONGEST_TOKEN = 8192


def credential(authorization: str, api_key: str = "") -> str | None:
    """Return the access token or API key in these headers, if there is one.

    Args:
        authorization: `Bearer` and either of the two.
        api_key: `X-API-Key`, where the other is absent.
    """
    scheme, _, token = authorization.partition(" ")
    if not authorization and is_key(api_key.strip()):
        scheme, token = "bearer", api_key
    token = token.strip()
    return token if scheme.lower() == "bearer" and 0 < len(token) <= LONGEST_TOKEN else None


def bearer(request: Request) -> str:
    """Return the token or API key of a request.

    Raises:
        AuthenticationFailed: There is none.
    """
    headers = exchange_of(request).headers
    told = (headers.get(name, b"").decode("latin-1") for name in (b"authorization", b"x-api-key"))
    token = credential(*told)
    if token is None:
        raise AuthenticationFailed(
            "Send an access token or an API key: `Authorization: Bearer …`. POST /auth/login "
            "gives a token.",
        )
    return token


async def read_json(request: Request) -> bytes:
    """Return the bytes of a body of JSON, or of MessagePack in its place; once.

    Raises:
        InvalidMessage: It says that it is something else, or compressed.
    """
    exchange = exchange_of(request)
    told = exchange.headers.get(b"content-type", b"").decode("latin-1")
    kind = told.partition(";")[0].strip().lower()
    packed = kind in _PACKED
    if kind != JSON and not packed and not kind.endswith("+json"):
        raise InvalidMessage(
            f"Send `Content-Type: {JSON}`, not {kind[:100] or 'nothing'!r}.",
            fields=[("Content-Type", f"must be {JSON} or application/msgpack")],
        )
    if exchange.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise InvalidMessage(
            "Send the body as it is, without `Content-Encoding`.",
            fields=[("Content-Encoding", "is not supported")],
        )
    body = await exchange.body()
    return Packed(body) if packed else body


def header_text(request: Request, name: str, check: Callable[[str], bool]) -> str | None:
    """Return a header's text without its quotes; None when it is absent.

    Raises:
        InvalidMessage: `check` does not accept it.
    """
    value = exchange_of(request).headers.get(name.lower().encode())
    if value is None:
        return None
    text = value.decode("latin-1").strip().strip('"')
    if not check(text):
        raise InvalidMessage(f"The header {name!r} is wrong.", fields=[(name, "is wrong")])
    return text


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in JSON, which knows neither NaN nor infinity, nor bytes."""
    body = to_json(value, inf_nan_mode="null", bytes_mode="base64")
    return Response(body, status, headers, JSON)
