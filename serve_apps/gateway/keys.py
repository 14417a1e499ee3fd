"""API keys over HTTP: make, list, revoke."""

from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.clock import iso
from cartrita.protocol.wire import WireModel
from cartrita.storage.apikeys import ApiKey
from serve_apps.asgi.messages import read_json, reply
from serve_apps.asgi.strict import parse
from serve_apps.gateway.gate import claims_of, gate_of, principal_of
from serve_apps.gateway.query import key_before, key_id_of, limit_of


class KeyRequest(WireModel):
    """What a key shall be."""

    name: str = Field(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")
    scopes: tuple[str, ...] | None = None
    expires_in_days: int | None = None


async def collection(request: Request) -> Response:
    """GET and POST /v3/keys, one route for both as with tasks."""
    return await (create if request.method == "POST" else listing)(request)


async def create(request: Request) -> Response:
    """POST /v3/keys: make a key of one's own; its secret is in this answer and in no other."""
    claims = await claims_of(request)
    asked = parse(KeyRequest, await read_json(request))
    desk = gate_of(request).keys
    key, secret = await desk.create(claims, asked.name, asked.scopes, asked.expires_in_days)
    return reply({**_row(key), "key": secret}, 201)


async def listing(request: Request) -> Response:
    """GET /v3/keys: one's own keys, newest first; administrators see everybody's."""
    who = await principal_of(request)
    limit, before = limit_of(request), key_before(request)
    rows = await gate_of(request).keys.page(who, limit, before)
    after = rows[-1].id if len(rows) == limit else None
    return reply({"keys": [_row(key) for key in rows], "next": after})


async def revoke(request: Request) -> Response:
    """DELETE /v3/keys/{id}: take a key back."""
    who = await principal_of(request)
    await gate_of(request).keys.revoke(key_id_of(request), who)
    return Response(status_code=204)


def _row(key: ApiKey) -> dict[str, Any]:
    used = key.last_used_at
    return {
        "keyId": key.id,
        "name": key.name,
        "user": key.user_id,
        "scopes": list(key.scopes),
        "createdAt": iso(key.created_at),
        "expiresAt": iso(key.expires_at),
        "lastUsedAt": None if used is None else iso(used),
    }


ROUTES = [
    Route("/v3/keys", collection, methods=["GET", "POST"]),
    Route("/v3/keys/{key_id}", revoke, methods=["DELETE"]),
]
