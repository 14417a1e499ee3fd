"""Files that are handed in for a while, in v2's shapes."""

from collections.abc import AsyncIterator
from typing import Any

from cartrita.clock import iso
from cartrita.errors import AuthorizationFailed
from cartrita.protocol.principal import Principal
from cartrita.storage.uploads import Upload, Which
from cartrita.uploads import LARGEST, LIFETIME, MOST, token_of
from serve_apps.bridge.answers import Refusal
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services.inputs import storable

LONGEST_PAGE = 200
_EXPIRED = ("include", "only", "exclude")


async def put(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Keep a file of a form."""
    who = _worker(call)
    (file, *others) = call.files["file"]
    if others:
        raise Refusal(400, "Send one file")
    made = await call.gate.uploads.put(who.user, file.name, file.kind, _once(file.data))
    return _row(made)


async def listed(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Return one's own, newest first."""
    who = _worker(call)
    expired = storable(params).get("expired", "exclude")
    if expired not in _EXPIRED:
        raise Refusal(400, f"expired must be one of {', '.join(_EXPIRED)}")
    limit, offset = min(params.get("limit", 50), LONGEST_PAGE), params.get("offset", 0)
    which = Which(call.now, expired, params.get("mime"))
    found, total = await call.gate.uploads.page(who.user, which, limit, offset)
    rows = [_row(one) | {"expired": one.expires_at <= call.now} for one in found]
    return {"total": total, "limit": limit, "offset": offset, "data": rows}


async def revoke(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Drop one."""
    who = _worker(call)
    return _row(await call.gate.uploads.revoke(who.user, str(params.get("id", ""))))


async def status(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Tell how many of one's own there are, and what may be."""
    who = _worker(call)
    _, alive = await call.gate.uploads.page(who.user, Which(call.now), 0, 0)
    return {
        "uploads": {
            "active": alive,
            "max_items": MOST,
            "max_bytes": LARGEST,
            "ttl_seconds": int(LIFETIME),
        }
    }


def _worker(call: Call) -> Principal:
    if not call.person.works:
        raise AuthorizationFailed("These credentials are not for tasks, and so not for files.")
    return call.person


def _row(upload: Upload) -> dict[str, Any]:
    return {
        "token": token_of(upload),
        "id": str(upload.id),
        "created_at": iso(upload.created_at),
        "expires_at": iso(upload.expires_at),
        "size": upload.size,
        "mime_type": upload.kind,
        "filename": upload.name,
        "persisted": True,
    }


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
