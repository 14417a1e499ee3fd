"""How one's secrets stand, in the shapes of v2's second server."""

from typing import Any

from cartrita.errors import InvalidParameters
from cartrita.storage.vault import Severity, VaultEvent
from cartrita.vault.posture import scan as scanned
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services.vault import READ, desk_of, mine

SEVERITIES: dict[str, Severity] = {"warning": "warning", "critical": "critical"}
LONGEST_KIND, LONGEST = 100, 2000


async def health(call: Call, _params: dict[str, Any]) -> Any:
    """Tell whether values can be sealed."""
    ready = desk_of(call).ready
    if not ready:
        call.status = 503
    return {"ready": ready, "status": "healthy" if ready else "unconfigured"}


async def scan(call: Call, params: dict[str, Any]) -> Any:
    """Look at one's keys for what is wrong with them."""
    owner, desk = mine(call, READ), desk_of(call)
    wanted = params.get("components", [])
    if not isinstance(wanted, list):
        wrong = [("target_components", "is a list of texts")]
        raise InvalidParameters("target_components is a list.", fields=wrong)
    found = await scanned(desk, owner, call.now)
    shown = [one for one in found if not wanted or one["component"] in wanted]
    return {
        "scan_type": params.get("kind", "basic"),
        "components": sorted({one["component"] for one in shown}),
        "findings": [one for one in shown if one["severity"] != "ok"],
        "checks": len(shown),
        "passed": sum(one["severity"] == "ok" for one in shown),
    }


async def log_event(call: Call, params: dict[str, Any]) -> Any:
    """Note an event that a client tells of, as one that a client told of."""
    kind, details = params.get("kind"), params.get("details", {})
    if (
        not isinstance(kind, str)
        or not 0 < len(kind) <= LONGEST_KIND
        or not isinstance(details, dict)
    ):
        wrong = [
            ("eventType", f"takes 1 to {LONGEST_KIND} characters"),
            ("details", "is an object"),
        ]
        raise InvalidParameters("eventType is required.", fields=wrong)
    if len(repr(details)) > LONGEST or "\0" in kind or not kind.isprintable():
        wrong = [("details", f"takes up to {LONGEST} characters")]
        raise InvalidParameters("The event is too large, or no text.", fields=wrong)
    owner, severity = mine(call), SEVERITIES.get(str(details.get("severity")), "info")
    event = VaultEvent(
        owner.actor, f"client:{kind}", "Told by a client.", call.now, severity, details
    )
    await desk_of(call).report(event)
    return {"eventType": event.kind}
