"""Somebody's own profile, settings, persona and privacy."""

from typing import Any

from cartrita.clock import iso
from cartrita.errors import ResourceLimitExceeded
from cartrita.people.persona import derived
from cartrita.people.personas import PersonaDesk
from cartrita.people.preferences import MOST_BACKUPS, PROFILES, PreferenceDesk
from cartrita.people.privacy import PrivacyDesk
from cartrita.storage.people import Document
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services.accounts import body_of


async def profile(call: Call, _params: dict[str, Any]) -> Any:
    """Return the account of who asks, and its settings."""
    person = await call.gate.people.profile(call.person.user)
    settings = await PreferenceDesk(call.gate.people).get(person.user.id)
    return {"user": body_of(person), "settings": settings}


async def change(call: Call, params: dict[str, Any]) -> Any:
    """Replace name and address."""
    name, email = params["name"], params["email"]
    return body_of(await call.gate.people.change(call.person.user, name, email))


async def change_password(call: Call, params: dict[str, Any]) -> Any:
    """Replace the password."""
    assert call.claims is not None
    email = (await call.account()).email
    async with call.gate.visitors.signing_in(email):
        await call.gate.people.change_password(call.claims, params["current"], params["new"])


async def close(call: Call, params: dict[str, Any]) -> Any:
    """Close the account."""
    account = await call.account()
    async with call.gate.visitors.signing_in(account.email):
        await call.gate.people.close(account.id, params["password"])


async def activity(call: Call, _params: dict[str, Any]) -> Any:
    """Tell how much was said."""
    account = await call.account()
    totals = await call.gate.history.totals(account.tenant, account.id)
    first, last = (iso(at) if at else None for at in (totals.first_at, totals.last_at))
    return {"asked": totals.asked, "answered": totals.answered, "first": first, "last": last}


async def settings(call: Call, _params: dict[str, Any]) -> Any:
    """Return all settings."""
    person = await call.gate.people.profile(call.person.user)
    return await PreferenceDesk(call.gate.people).get(person.user.id)


async def change_settings(call: Call, params: dict[str, Any]) -> Any:
    """Change some settings; return all."""
    return await PreferenceDesk(call.gate.people).change(call.person.user, params)


async def profiles(_call: Call, _params: dict[str, Any]) -> Any:
    """Return the sets of settings that there are."""
    return {name: dict(values) for name, values in PROFILES.items()}


async def apply_profile(call: Call, params: dict[str, Any]) -> Any:
    """Change the settings that a profile sets; return all."""
    return await PreferenceDesk(call.gate.people).apply(call.person.user, params["profile"])


async def back_up(call: Call, params: dict[str, Any]) -> Any:
    """Keep a copy of the settings."""
    named = str(params.get("name") or f"Backup of {iso(call.now)}")
    made = await PreferenceDesk(call.gate.people).back_up(call.person.user, named)
    if made is None:
        raise ResourceLimitExceeded(f"There are {MOST_BACKUPS} backups already.")
    return _row(made)


async def persona(call: Call, _params: dict[str, Any]) -> Any:
    """Return the persona and what follows from it."""
    found = await PersonaDesk(call.gate.people).get(call.person.user)
    return {"persona": found, "derived": derived(found)}


async def change_persona(call: Call, params: dict[str, Any]) -> Any:
    """Replace the persona."""
    put = await PersonaDesk(call.gate.people).put(call.person.user, params)
    return {"persona": put, "derived": derived(put)}


async def presets(call: Call, _params: dict[str, Any]) -> Any:
    """Return the personas kept for later."""
    found = await PersonaDesk(call.gate.people).presets(call.person.user)
    return [_row(one) for one in found]


async def add_preset(call: Call, params: dict[str, Any]) -> Any:
    """Keep a persona for later."""
    told = params.get("persona_config")
    made = await PersonaDesk(call.gate.people).add(call.person.user, params["name"], told)
    return _row(made)


async def remove_preset(call: Call, params: dict[str, Any]) -> Any:
    """Forget one."""
    await PersonaDesk(call.gate.people).remove(call.person.user, params["id"])
    return params["id"]


async def consents(call: Call, _params: dict[str, Any]) -> Any:
    """Return what somebody consented to."""
    return await _privacy(call).consents(call.person.user)


async def consent(call: Call, params: dict[str, Any]) -> Any:
    """Note consents; return all."""
    return await _privacy(call).consent(call.person.user, params["records"])


async def export(call: Call, _params: dict[str, Any]) -> Any:
    """Return a copy of what is kept."""
    copy = await _privacy(call).copy(call.person)
    return {**copy, "person": body_of(copy["person"])}


async def request_export(call: Call, params: dict[str, Any]) -> Any:
    """Note that somebody wants a copy, which is there at once."""
    detail = {"export_type": str(params.get("kind", "full"))[:50]}
    made = await _privacy(call).request(call.person.user, "export", detail)
    return _row(made)


async def dashboard(call: Call, _params: dict[str, Any]) -> Any:
    """Return what was asked for and consented to."""
    desk, user = _privacy(call), call.person.user
    requests = [_row(one) for one in await desk.requests(user)]
    return {
        "consents": await desk.consents(user),
        "exports": [one for one in requests if one["type"] == "export"],
        "deletions": [one for one in requests if one["type"] == "deletion"],
    }


async def delete_data(call: Call, params: dict[str, Any]) -> Any:
    """Delete parts of what is kept, and note that it was asked for."""
    desk, user = _privacy(call), call.person.user
    deleted = await desk.forget(user, params["kinds"])
    detail = {"data_types": list(deleted), "reason": str(params.get("reason", ""))[:500]}
    return {**_row(await desk.request(user, "deletion", detail)), "deleted": deleted}


async def clear_chat_history(call: Call, _params: dict[str, Any]) -> Any:
    """Delete all conversations; return how many there were."""
    return await _privacy(call).clear_conversations(call.person.user)


def _privacy(call: Call) -> PrivacyDesk:
    return PrivacyDesk(call.gate.people, call.gate.keys)


def _row(document: Document) -> dict[str, Any]:
    return {
        "id": document.number,
        **document.value,
        "created_at": iso(document.made_at),
        "updated_at": iso(document.changed_at),
    }
