"""What is wrong with somebody's keys."""

from typing import Any

from cartrita.errors import ConfigurationInvalid, InternalFailure
from cartrita.storage.vault import Held
from cartrita.vault.desk import Owner, VaultDesk, due_at
from cartrita.vault.providers import providers


async def scan(desk: VaultDesk, owner: Owner, now: float) -> list[dict[str, Any]]:
    """Return every check of the master key and of each key, good ones with the severity `ok`."""
    told = "Values are sealed." if desk.ready else "No master key is set: nothing can be sealed."
    found = [_check("master_key", None, "ok" if desk.ready else "critical", told)]
    for held in await desk.keys.all(owner.id):
        found += _looked_at(desk, held, now)
    return found


def _looked_at(desk: VaultDesk, held: Held, now: float) -> list[dict[str, Any]]:
    key, due = held.key, due_at(held.key)
    expired = key.expires_at is not None and key.expires_at <= now
    late = due is not None and due <= now
    return [
        _sealed(desk, held),
        _check(
            "expiry",
            held,
            "warning" if expired and key.active else "ok",
            "It has expired and is in use still." if expired else "It has not expired.",
        ),
        _check(
            "rotation",
            held,
            "warning" if late else "ok",
            "It is due for another value." if late else "It is not due.",
        ),
    ]


def _sealed(desk: VaultDesk, held: Held) -> dict[str, Any]:
    try:
        value = desk.value(held)
    except (ConfigurationInvalid, InternalFailure) as error:
        return _check("seal", held, "critical", error.message)
    provider = providers().get(held.key.provider)
    if provider is not None and not provider.fits(value):
        return _check("format", held, "warning", "It does not look like a key of its provider.")
    return _check("seal", held, "ok", "It opens, and looks right.")


def _check(component: str, held: Held | None, severity: str, told: str) -> dict[str, Any]:
    named = {"key_id": held.key.id, "key_name": held.key.name} if held else {}
    return {"component": component, "severity": severity, "message": told, **named}
