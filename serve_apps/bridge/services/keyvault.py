"""The instance's own keys, which administrators keep, in v2's shapes."""

import hmac
from typing import Any

from cartrita.clock import iso
from cartrita.errors import InvalidParameters
from cartrita.storage.vault import Held
from cartrita.vault.desk import NewKey, Owner
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services.inputs import storable
from serve_apps.bridge.services.vault import desk_of, read

SHORTEST = 10
"""v2 takes longer candidates only."""


def ours(call: Call) -> Owner:
    """Return the instance, as it is meant by the administrator who asks."""
    return Owner(None, call.person.user)


async def _service(call: Call, params: dict[str, Any]) -> Held:
    name = str(storable(params).get("service", ""))
    return await desk_of(call).named(ours(call), name, name)


async def create(call: Call, params: dict[str, Any]) -> Any:
    """Keep the key of a service."""
    name = params.get("service")
    given = {
        "provider": name,
        "name": name,
        "value": params.get("value"),
        "scopes": params.get("scopes", ()),
        "tags": params.get("tags", ()),
        "rotate_days": None,
    }
    return _told(await desk_of(call).add(ours(call), read(NewKey, given)))


def _told(held: Held) -> dict[str, Any]:
    key = held.key
    return {
        "id": key.id,
        "serviceName": key.name,
        "scopes": key.scopes,
        "purposeTags": key.tags,
        "version": key.version,
        "isActive": key.active,
        "usageCount": key.used,
        "lastUsedAt": iso(key.last_used_at) if key.last_used_at else None,
        "createdAt": iso(key.created_at),
        "updatedAt": iso(key.updated_at),
        "rotatedAt": iso(key.rotated_at),
        "hashPreview": held.version.checksum[:8],
    }


async def keys(call: Call, _params: dict[str, Any]) -> Any:
    """List them, without their values."""
    return [_told(held) for held in await desk_of(call).keys.all(None)]


async def rotate(call: Call, params: dict[str, Any]) -> Any:
    """Give the key of a service another value."""
    held, value = await _service(call, params), params.get("value")
    if not isinstance(value, str):
        wrong = [("newKey", "is missing")]
        raise InvalidParameters("serviceName and newKey are required.", fields=wrong)
    reason = str(params.get("reason", ""))[:500]
    old = params.get("preserve", True) is not False
    version = await desk_of(call).rotate(ours(call), held, value, reason, preserve=old)
    return {"serviceName": held.key.name, "version": version.number, "preservedOld": old}


async def metadata(call: Call, params: dict[str, Any]) -> Any:
    """Tell of the key of a service all but its value."""
    return _told(await _service(call, params))


async def versions(call: Call, params: dict[str, Any]) -> Any:
    """List the values that the key of a service had, without them."""
    held = await _service(call, params)
    found = await desk_of(call).keys.versions(None, held.key.id)
    return [
        {
            "version": one.number,
            "createdAt": iso(one.at),
            "reason": one.reason,
            "hashPreview": one.checksum[:8],
            "isCurrent": one.number == held.key.version,
        }
        for one in found
    ]


async def validate(call: Call, params: dict[str, Any]) -> Any:
    """Compare a candidate with the key of a service."""
    desk, held = desk_of(call), await _service(call, params)
    candidate = str(params.get("candidate", ""))
    same = hmac.compare_digest(_bytes(desk.value(held)), _bytes(candidate.strip()))
    preview = desk.seal.checksum(candidate.encode("utf-8", "replace").decode())[:8]
    return {"valid": len(candidate) > SHORTEST, "hashPreview": preview, "matches": same}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


async def restore(call: Call, params: dict[str, Any]) -> Any:
    """Bring back the key of a service that was deleted last."""
    name = str(storable(params).get("service", ""))
    return await desk_of(call).restore(ours(call), name, name)


async def remove(call: Call, params: dict[str, Any]) -> Any:
    """Delete the key of a service."""
    held = await _service(call, params)
    await desk_of(call).remove(ours(call), held.key.id)


async def analytics(call: Call, _params: dict[str, Any]) -> Any:
    """Count their uses."""
    held = [one.key for one in await desk_of(call).keys.all(None)]
    return {
        "totalKeys": len(held),
        "activeKeys": sum(key.active for key in held),
        "totalUsage": sum(key.used for key in held),
        "services": [
            {
                "serviceName": key.name,
                "usageCount": key.used,
                "lastUsedAt": iso(key.last_used_at) if key.last_used_at else None,
            }
            for key in held
        ],
    }


async def status(call: Call, _params: dict[str, Any]) -> Any:
    """Tell whether values can be sealed, and what tells the keys of now apart."""
    desk = desk_of(call)
    if not desk.ready:
        call.status = 503
    held = await desk.keys.all(None) if desk.ready else []
    return {
        "ready": desk.ready,
        "totalKeys": len(held),
        "activeKeyHashes": [one.version.checksum[:8] for one in held if one.key.active],
    }
