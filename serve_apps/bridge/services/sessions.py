"""Conversations, as lists of tasks tell of them."""

from typing import Any

from cartrita.storage.listing import Wanted
from serve_apps.bridge.answers import Refusal
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services.inputs import storable

MOST = 200
"""Messages that are counted; a longer conversation says so."""


async def show(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Tell of a conversation of who asks."""
    session = str(storable(params)["id"])
    wanted = Wanted(call.person.user, session=session)
    rows = await call.gate.listing.page(wanted, MOST, None)
    if not rows:
        raise Refusal(404, "Session not found", f"You have no session {session[:100]!r}.")
    running = any(not row.status.terminal for row in rows)
    return {
        "id": session,
        "status": "active" if running else "idle",
        "created": rows[-1].accepted_at.isoformat(),
        "lastActivity": (rows[0].finished_at or rows[0].accepted_at).isoformat(),
        "messages": len(rows),
        "more": len(rows) == MOST,
    }
