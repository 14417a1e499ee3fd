"""Users' keys of providers, in v2's shapes."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from cartrita.clock import iso
from cartrita.errors import ConfigurationInvalid, InternalFailure, InvalidParameters
from cartrita.protocol.wire import field_errors
from cartrita.storage.vault import Held, Tally, VaultEvent
from cartrita.vault.desk import DAY, NewKey, Owner, VaultDesk, due_at, seen
from cartrita.vault.masking import Mask
from cartrita.vault.providers import Provider, provider_of, providers, suits, value_of
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services.inputs import storable
from serve_apps.bridge.services.permits import permitted

AT_ONCE = 8
"""Providers asked at one time, when all keys are tried."""

READ, USE = "keys:read", "keys:vault"
"""What an API key must be for; who signed in may do both."""

LATEST = 253_402_300_799.0
"""The last second of the year 9999."""


def desk_of(call: Call) -> VaultDesk:
    """Return what keeps keys here."""
    return call.gate.vault


def mine(call: Call, permission: str = USE) -> Owner:
    """Return who asks, as the owner of their own keys.

    Raises:
        AuthorizationFailed: Their API key is not for that.
    """
    who = permitted(call, permission)
    return Owner(who.user, who.user)


async def offered(_call: Call, _params: dict[str, Any]) -> Any:
    """List whose keys may be kept."""
    return [_provider(one) for one in providers().values()]


def _provider(one: Provider) -> dict[str, Any]:
    told = one.model_dump(mode="json", exclude={"check"})
    return {**told, "name": one.id, "is_active": True}


async def keys(call: Call, params: dict[str, Any]) -> Any:
    """List one's keys, masked."""
    desk, owner = desk_of(call), mine(call, READ)
    wanted, active = params.get("provider"), params.get("active", True)
    found = await desk.keys.all(owner.id)
    chosen = Mask.of(await desk.preferences(owner))
    return [
        _shown(desk, held, chosen)
        for held in found
        if wanted in (None, held.key.provider) and (held.key.active or not active)
    ]


def _shown(desk: VaultDesk, held: Held, mask: Mask | None = None) -> dict[str, Any]:
    provider = providers().get(held.key.provider)
    told = {
        **seen(held),
        "provider_name": held.key.provider,
        "provider_display_name": provider.display_name if provider else held.key.provider,
        "provider_icon": provider.icon if provider else None,
    }
    if mask:
        value = _value(desk, held)
        seen_through = Mask(mask.pattern, 0) if held.key.visibility.upper() == "HIDDEN" else mask
        told["masked_key"] = seen_through.over(value) if value is not None else None
    return told


def _value(desk: VaultDesk, held: Held) -> str | None:
    """Return a key's value; None where it does not open: one of them must not hide the others."""
    try:
        return desk.value(held)
    except (ConfigurationInvalid, InternalFailure):
        return None


async def create(call: Call, params: dict[str, Any]) -> Any:
    """Keep a key that comes as v2's backend or as its front end sends it."""
    desk, owner = desk_of(call), mine(call)
    provider = provider_of(str(params.get("provider", "")))
    value = _brought(provider, params)
    suits(provider, value)
    optional = ("visibility", "category", "metadata", "rotate_policy")
    told: dict[str, Any] = {name: params[name] for name in optional if name in params}
    given = {
        "provider": provider.id,
        "name": params.get("name") or provider.display_name,
        "value": value,
        "rotate_days": params.get("rotate_days", 90),
        "expires_at": moment(params.get("expires_at")),
        "category": provider.category,
        **told,
    }
    return _shown(desk, await desk.add(owner, read(NewKey, given)))


def _brought(provider: Provider, params: dict[str, Any]) -> str:
    if isinstance(params.get("credentials"), dict):
        return value_of(provider, params["credentials"])
    value = params.get("value")
    if not isinstance(value, str) or not value:
        wrong = [("key_value", "is missing")]
        raise InvalidParameters("Provider ID, key name and key value are required.", fields=wrong)
    return value


def read(kind: Any, given: dict[str, Any]) -> Any:
    """Return what was given as a model has it.

    Raises:
        InvalidParameters: It does not fit.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        fields = field_errors(error)
        told = "; ".join(f"{name}: {text}" for name, text in fields)
        raise InvalidParameters(f"The request does not fit: {told}.", fields=fields) from None


def moment(text: Any, field: str = "expires_at") -> float | None:
    """Return Unix seconds out of an ISO time; None for none.

    Raises:
        InvalidParameters: It is no time.
    """
    if text is None or text == "":
        return None
    try:
        found = datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        found = -1.0
    if not 0 <= found <= LATEST:
        wrong = "must be a time such as 2027-01-31T12:00:00Z"
        raise InvalidParameters(f"{field!r} {wrong}.", fields=[(field, wrong)])
    return found


async def change(call: Call, params: dict[str, Any]) -> Any:
    """Switch a key on or off, or change what is said of it."""
    desk, owner = desk_of(call), mine(call)
    changes = {name: value for name, value in params.items() if name != "id"}
    if "expires_at" in changes:
        changes["expires_at"] = moment(changes["expires_at"])
    held = await desk.find(owner, params["id"])
    kinds = {"active": bool, "rotate_days": int, "metadata": dict}
    wrong = [
        (name, "is of a wrong type")
        for name, value in changes.items()
        if not isinstance(value, kinds.get(name, str if name != "expires_at" else object))
    ]
    if wrong or not changes:
        fields = wrong or [("body", "changes nothing")]
        raise InvalidParameters("The request does not fit.", fields=fields)
    given = {**_same(held), **{n: v for n, v in changes.items() if n != "active"}}
    read(NewKey, given)  # the bounds of a new one
    await desk.change(owner, params["id"], **changes)
    return _shown(desk, await desk.find(owner, params["id"]))


def _same(held: Held) -> dict[str, Any]:
    return {"provider": held.key.provider, "name": held.key.name, "value": "-"}


async def validate(call: Call, params: dict[str, Any]) -> Any:
    """Tell whether a key is good."""
    desk, owner = desk_of(call), mine(call)
    verdict = await desk.judged(owner, await desk.find(owner, params["id"]))
    return verdict.told


async def validate_all(call: Call, _params: dict[str, Any]) -> Any:
    """Tell of every active key whether it is good."""
    desk, owner, few = desk_of(call), mine(call), asyncio.Semaphore(AT_ONCE)

    async def judged(held: Held) -> dict[str, Any]:
        async with few:
            verdict = await desk.judged(owner, held)
        return {"id": held.key.id, "key_name": held.key.name, **verdict.told}

    active = [held for held in await desk.keys.all(owner.id) if held.key.active]
    return list(await asyncio.gather(*map(judged, active)))


async def validation_status(call: Call, _params: dict[str, Any]) -> Any:
    """Tell of every key what can be known of it without asking anybody."""
    desk, owner = desk_of(call), mine(call, READ)
    return [_standing(desk, held, call.now) for held in await desk.keys.all(owner.id)]


def _standing(desk: VaultDesk, held: Held, now: float) -> dict[str, Any]:
    key, value, due = held.key, _value(desk, held), due_at(held.key)
    expired = key.expires_at is not None and key.expires_at <= now
    provider = providers().get(key.provider)
    fits = value is not None and provider is not None and provider.fits(value)
    return {
        "id": key.id,
        "key_name": key.name,
        "provider": key.provider,
        "valid": fits and key.active and not expired,
        "method": "format_only",
        "readable": value is not None,
        "expired": expired,
        "due_for_rotation": due is not None and due <= now,
    }


async def test(call: Call, params: dict[str, Any]) -> Any:
    """Try a key, as far as its provider lets us."""
    desk, owner = desk_of(call), mine(call)
    verdict = await desk.judged(owner, await desk.find(owner, params["id"]))
    asked = verdict.method == "http_check"
    usual = "The provider accepts it." if asked else "It looks right; its provider was not asked."
    told = {"success": verdict.passed, "message": verdict.error or usual}
    return {**told, "status": verdict.status} if verdict.status is not None else told


async def rotate(call: Call, params: dict[str, Any]) -> Any:
    """Give a key another value."""
    desk, owner = desk_of(call), mine(call)
    held = await desk.find(owner, storable(params)["id"])
    provider = provider_of(held.key.provider)
    value = _brought(provider, params)
    suits(provider, value)
    version = await desk.rotate(owner, held, value, str(params.get("reason", ""))[:500])
    return {"version": version.number}


async def remove(call: Call, params: dict[str, Any]) -> Any:
    """Delete a key."""
    await desk_of(call).remove(mine(call), params["id"])


async def reveal(call: Call, params: dict[str, Any]) -> Any:
    """Show a key to whom it belongs, and note that."""
    desk, owner = desk_of(call), mine(call)
    held = await desk.find(owner, params["id"])
    call.headers["Cache-Control"] = "no-store"
    return {"value": await desk.reveal(owner, held), "name": held.key.name}


async def events(call: Call, params: dict[str, Any]) -> Any:
    """List what happened to one's keys."""
    owner, limit = mine(call, READ), bounded(params.get("limit"), 20, 100)
    offset = bounded(params.get("offset"), 0, 1000, least=0)
    found = await desk_of(call).book.events(owner.actor, limit, offset)
    return [event_seen(event) for event in found]


def bounded(value: Any, usual: int, most: int, least: int = 1) -> int:
    """Return a number that a query asks for, within bounds."""
    return max(least, min(int(value), most)) if isinstance(value, int) else usual


def event_seen(event: VaultEvent) -> dict[str, Any]:
    """Return an event as v2 shows it."""
    return {
        "id": event.id,
        "event_type": event.kind,
        "description": event.description,
        "metadata": dict(event.metadata),
        "severity": event.severity,
        "created_at": iso(event.at),
    }


def tallies_seen(tallies: Sequence[Tally]) -> list[dict[str, Any]]:
    """Return counted events as v2 shows them."""
    return [
        {"date": t.day, "event_type": t.kind, "severity": t.severity, "count": t.times}
        for t in tallies
    ]


async def analytics(call: Call, params: dict[str, Any]) -> Any:
    """Count one's keys, their uses and what happened to them."""
    desk, owner, now = desk_of(call), mine(call, READ), call.now
    days = bounded(params.get("days"), 30, 365)
    held = [one.key for one in await desk.keys.all(owner.id)]
    by_provider = {key.provider: 0 for key in held}
    for key in held:
        by_provider[key.provider] += 1
    tallies = await desk.book.tallies(owner.actor, now - days * DAY)
    due = [at for key in held if (at := due_at(key)) is not None and at <= now]
    return {
        "days": days,
        "usage_stats": {
            "total_keys": len(held),
            "active_keys": sum(key.active for key in held),
            "expired_keys": sum(
                key.expires_at is not None and key.expires_at <= now for key in held
            ),
            "keys_due_for_rotation": len(due),
            "total_usage": sum(key.used for key in held),
        },
        "provider_distribution": [
            {"provider_name": name, "key_count": count} for name, count in by_provider.items()
        ],
        "security_events": tallies_seen(tallies),
    }
