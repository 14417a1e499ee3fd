"""How secrets are shown, and what shows them once, in v2's shapes."""

from typing import Any

from cartrita.clock import iso
from cartrita.errors import InvalidParameters
from cartrita.vault.desk import DAY
from cartrita.vault.masking import LONGEST, Mask
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services.vault import READ, bounded, desk_of, event_seen, mine

KINDS = ("api_key", "vault_key", "key")
"""Resources that a token can show: keys, whatever v2 calls them."""


async def preferences(call: Call, _params: dict[str, Any]) -> Any:
    """Return one's preferences."""
    return (await desk_of(call).preferences(mine(call, READ))).model_dump()


async def prefer(call: Call, params: dict[str, Any]) -> Any:
    """Change some of them."""
    return (await desk_of(call).prefer(mine(call), params)).model_dump()


async def token(call: Call, params: dict[str, Any]) -> Any:
    """Return a token that shows a key once."""
    kind, key = params.get("kind", KINDS[0]), params.get("id")
    if kind not in KINDS or not isinstance(key, str):
        wrong = [("resource_type", f"is one of {', '.join(KINDS)}"), ("resource_id", "is an id")]
        raise InvalidParameters("resource_id and resource_type are required.", fields=wrong)
    made, until = await desk_of(call).token(mine(call), key)
    return {"token": made, "expires_at": iso(until), "expires_in": round(until - call.now)}


async def reveal(call: Call, params: dict[str, Any]) -> Any:
    """Show what a token is for."""
    key, value = await desk_of(call).spend(mine(call), str(params.get("token", "")))
    call.headers["Cache-Control"] = "no-store"
    return {"resource_id": key.id, "key_name": key.name, "provider": key.provider, "value": value}


async def mask(call: Call, params: dict[str, Any]) -> Any:
    """Return a text as one's preferences mask secrets; it is kept nowhere."""
    text = params.get("data")
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
        wrong = f"takes 1 to {LONGEST} characters"
        raise InvalidParameters(f"'data' {wrong}.", fields=[("data", wrong)])
    chosen = await desk_of(call).preferences(mine(call, READ))
    return {"masked": Mask.of(chosen).over(text), "original_length": len(text)}


async def events(call: Call, params: dict[str, Any]) -> Any:
    """List what happened to one's secrets."""
    owner, limit = mine(call, READ), bounded(params.get("limit"), 50, 100)
    return [event_seen(event) for event in await desk_of(call).book.events(owner.actor, limit)]


async def analytics(call: Call, params: dict[str, Any]) -> Any:
    """Count that by day and kind."""
    days = bounded(params.get("days"), 30, 365)
    owner = mine(call, READ)
    tallies = await desk_of(call).book.tallies(owner.actor, call.now - days * DAY)
    by_kind: dict[str, int] = {}
    for one in tallies:
        by_kind[one.kind] = by_kind.get(one.kind, 0) + one.times
    return {
        "days": days,
        "total_events": sum(by_kind.values()),
        "by_type": by_kind,
        "reveals": by_kind.get("key_revealed", 0),
        "refused_reveals": by_kind.get("reveal_refused", 0),
        "by_day": [{"date": t.day, "event_type": t.kind, "count": t.times} for t in tallies],
    }


async def cleanup(call: Call, _params: dict[str, Any]) -> Any:
    """Forget one's reveal tokens that have expired."""
    return await desk_of(call).book.sweep(mine(call).actor, call.now)
