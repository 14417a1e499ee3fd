"""API keys in the form that v2's clients know."""

from typing import Any
from uuid import UUID

from cartrita.auth.apikeys import MOST
from cartrita.clock import iso
from cartrita.errors import NotFound
from cartrita.storage.apikeys import ApiKey
from serve_apps.bridge.calls import Call

LONGEST_NAME = 100


async def listing(call: Call, _params: dict[str, Any]) -> Any:
    """List one's own keys, without their secrets."""
    return [_row(key) for key in await call.gate.keys.page(call.person.alone, MOST, None)]


async def create(call: Call, params: dict[str, Any]) -> Any:
    """Make a key; its secret is in this answer and in no other."""
    assert call.claims is not None
    told = " ".join(str(params.get("name", "")).split())[:LONGEST_NAME]
    name = "".join(one for one in told if one.isprintable()) or "API Key"
    key, secret = await call.gate.keys.create(call.claims, name, None, None, v2=True)
    return {**_row(key), "api_key": secret}


async def revoke(call: Call, params: dict[str, Any]) -> Any:
    """Take one of one's own keys back."""
    try:
        key_id = str(UUID(params["id"]))
    except ValueError:
        raise NotFound("API key not found") from None
    await call.gate.keys.revoke(key_id, call.person.alone)


async def test(call: Call, _params: dict[str, Any]) -> Any:
    """Tell whose key this is."""
    assert call.claims is not None
    person = await call.gate.people.profile(call.person.user)
    return {
        "key_id": call.claims.key,
        "scopes": list(call.claims.scopes),
        "expires_at": iso(call.claims.expires_at),
        "user": {"id": person.number, "name": person.user.name, "email": person.user.email},
    }


def _row(key: ApiKey) -> dict[str, Any]:
    used = key.last_used_at
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "created_at": iso(key.created_at),
        "expires_at": iso(key.expires_at),
        "last_used_at": None if used is None else iso(used),
    }
