"""v2's events over Socket.IO, by the same rows and verbs as its routes."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from pydantic_core import from_json, to_json

from cartrita.auth.claims import Claims
from serve_apps.asgi.guard import from_v2
from serve_apps.bridge.answers import Refusal
from serve_apps.bridge.calls import Call, document_of
from serve_apps.bridge.redaction import redacted
from serve_apps.bridge.table import Ready, Told
from serve_apps.bridge.verbs import done, later, refusal_from
from serve_apps.gateway.gate import Desk, Gate
from serve_apps.gateway.sockets.older import STRANGER, Tell

ANONYMOUS = "Authentication required"
ERROR = "error"


class Events:
    """Hears events and does what their rows say.

    Args:
        rows: By their events; one that begins with a slash is a namespace that is `later`.
        gate: Returns the open gate.
        desk: Returns what is kept beside it.
    """

    refused: str = "Authentication error: Invalid token."

    def __init__(
        self, rows: Mapping[str, Ready], gate: Callable[[], Gate], desk: Callable[[], Desk]
    ) -> None:
        self._rows, self._gate, self._desk = rows, gate, desk
        self.events: Collection[str] = [name for name in rows if not name.startswith("/")]
        self.closed: Mapping[str, str] = {
            name: later(ready.row.later or "").message
            for name, ready in rows.items()
            if name.startswith("/")
        }

    def lenient(self, environ: Mapping[str, Any]) -> bool:
        """Tell whether a client came to v2's own port: there it needs no token to connect."""
        return from_v2(environ["asgi.scope"])

    async def welcome(self, sid: str, tell: Tell) -> None:
        """Tell a client its id."""
        with suppress(OSError):  # it may have left already
            await tell("connected", {"socketId": sid})

    async def hear(self, event: str, data: Any, claims: Claims, tell: Tell) -> None:
        """Do what an event's row says, and tell of it."""
        ready = self._rows[event]
        row = ready.row
        try:
            call = self._call(event, data, claims, ready)
            await _tell(tell, row.begins, call)
            try:
                body = await done(call, ready)
                await tell(row.tells or event, _clean(body, event))
            finally:
                await _tell(tell, row.ends, call)
        except OSError:
            raise  # the client has left
        except Exception as error:  # noqa: BLE001 - told in v2's shape, and logged there
            refusal = refusal_from(error, row.route, row)
            await tell(row.fails or ERROR, _clean({**refusal.body, "event": event}, event))

    def _call(self, event: str, data: Any, claims: Claims, ready: Ready) -> Call:
        gate = self._gate()
        if ready.row.auth != "nobody" and claims.jti == STRANGER:
            raise Refusal(401, ANONYMOUS)
        known = claims.jti != STRANGER and ready.row.auth != "nobody"
        who = claims.principal() if known else None
        document = document_of(gate, who, "socket", event, timed=ready.timed)
        document |= {"body": data, "query": {}, "path": {}, "headers": {}, "files": {}}
        return Call(gate, self._desk(), document, who, claims if known else None)


async def _tell(tell: Tell, told: Told | None, call: Call) -> None:
    if told:
        await tell(told.event, told.data(call.document) if told.data else None)


def _clean(body: Any, event: str) -> Any:
    """Return a body without secrets."""
    text = to_json(body, inf_nan_mode="null", bytes_mode="base64")
    safe = redacted(text, event)
    return body if safe is text else from_json(safe)
