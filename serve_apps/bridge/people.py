"""Who asks: v2's kinds of credentials, and its answers for those that are not accepted."""

import base64
from functools import partial

from pydantic_core import from_json
from starlette.requests import Request

from cartrita.auth.claims import Claims
from cartrita.errors import AuthenticationFailed
from cartrita.protocol.principal import GUEST, Principal, Role, is_key
from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.messages import LONGEST_TOKEN
from serve_apps.bridge.answers import Refusal
from serve_apps.bridge.credentials import sent
from serve_apps.bridge.table import Auth
from serve_apps.gateway.gate import Gate
from serve_apps.gateway.quotas import left

NO_TOKEN = "Unauthorized: No token provided."  # noqa: S105 - words
BAD_TOKEN = "Forbidden: Invalid or expired token."  # noqa: S105
NO_KEYS = "This takes no API key: send an access token, which POST /api/auth/login gives."
NOT_ADMIN = "Forbidden: Admin access required."
NO_KEY, BAD_KEY = "API key required", "Invalid API key"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="cartrita"'}

_PARTS = 3


Asking = tuple[Principal | None, Claims | None]


async def asking(request: Request, gate: Gate, auth: Auth, *, counted: bool) -> Asking:
    """Return who asks for a row, as far as it wants to know; count the request.

    Args:
        request: Which.
        gate: Open.
        auth: Whom the row is for.
        counted: Tasks are counted by the Door, so their requests are not.

    Raises:
        Refusal: It is not whom the row is for.
        CartritaError: They have asked too often, or nobody can find out now.
    """
    counted = counted and not request.scope.get("mirrored")
    if auth == "nobody":
        if counted:
            await gate.visitors.admit(request)
        return None, None
    token, key = _told_apart(*sent(exchange_of(request).headers))
    if auth == "guest" and not (token or key):
        return await _guest(request, gate), None
    claims = await _claims(gate, auth, token, key)
    if gate.limiter.limited:
        exchange_of(request).more = partial(left, gate.limiter, claims.user)
    if counted:
        await gate.limiter.take(claims.user)
    else:
        gate.limiter.check(claims.user)
    if auth == "admin" and claims.role is Role.USER:
        raise Refusal(403, NOT_ADMIN)
    return claims.principal(), claims


async def _guest(request: Request, gate: Gate) -> Principal:
    if not gate.guests:
        raise Refusal(401, NO_TOKEN, headers=_CHALLENGE)
    if not request.scope.get("mirrored"):
        await gate.visitors.admit(request)
    return GUEST


async def _claims(gate: Gate, auth: Auth, token: str, key: str) -> Claims:
    if auth == "key" or (key and auth in ("flexible", "guest")):
        if not key:
            raise Refusal(401, NO_KEY, "Send `Authorization: Bearer <key>` or `X-API-Key`.")
        try:
            return await gate.identity.admit(key)
        except AuthenticationFailed:
            raise Refusal(401, BAD_KEY, headers=_CHALLENGE) from None
    if not token:
        raise Refusal(401, NO_TOKEN, NO_KEYS if key else None, headers=_CHALLENGE)
    try:
        return await gate.identity.admit(token)
    except AuthenticationFailed:
        category = _category(token, gate.clock.now())
        raise Refusal(403, BAD_TOKEN, category=category) from None


def _told_apart(bearer: str, key: str) -> tuple[str, str]:
    """Return the token and the API key that a request has, of which either may be a bearer."""
    if len(bearer) > LONGEST_TOKEN:
        bearer = "too long"  # no token is
    return ("", bearer) if is_key(bearer) else (bearer, key)


def _category(token: str, now: float) -> str:
    """Return what v2 calls the way in which a token is bad."""
    parts = token.split(".")
    if len(parts) != _PARTS:
        return "malformed"
    try:
        told = from_json(base64.urlsafe_b64decode(parts[1] + "=="))
        expires = told["exp"]
    except (ValueError, KeyError, TypeError):
        return "malformed"
    return "expired" if isinstance(expires, int | float) and expires <= now else "unknown"
