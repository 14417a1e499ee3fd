"""What an older API needs of our Socket.IO: events of its own, and clients without a token."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

from cartrita.auth.claims import YEAR_10000, Claims
from cartrita.protocol.principal import Role

STRANGER = "anonymous"
"""The `jti` of whoever has no token."""

Tell = Callable[[str, Any], Awaitable[None]]
"""Sends an event to the client."""


class OlderSockets(Protocol):
    """Hears events of an older API.

    Attributes:
        events: Their names.
        closed: Namespaces that nobody may enter, and why.
        refused: What a client with a wrong token is told.
    """

    events: Collection[str]
    closed: Mapping[str, str]
    refused: str

    def lenient(self, environ: Mapping[str, Any]) -> bool:
        """Tell whether a client may come without a token."""

    async def welcome(self, sid: str, tell: Tell) -> None:
        """Greet a client of its own port."""

    async def hear(self, event: str, data: Any, claims: Claims, tell: Tell) -> None:
        """Do what an event asks for, and tell of it, or of what went wrong."""


def token_of(environ: Mapping[str, Any] | None, auth: Any) -> str | None:
    """Return the token that a handshake shows, or an empty one for what is no text.

    Args:
        environ: Where its query may have one, too; None for those that may not.
        auth: What came with it.
    """
    told = auth.get("token") if isinstance(auth, dict) else None
    if told is None and environ is not None:
        told = dict(parse_qsl(str(environ.get("QUERY_STRING", "")))).get("token")
    return told if told is None or isinstance(told, str) else ""


def stranger(environ: Mapping[str, Any]) -> Claims:
    """Return what is known of a client without a token, who may do nothing of ours."""
    address = environ.get("HTTP_X_FORWARDED_FOR") or environ.get("REMOTE_ADDR") or ""
    name = f"anonymous:{address.rpartition(',')[2].strip()[:64]}"
    return Claims(name, name, Role.USER, (), STRANGER, 0, YEAR_10000, ours=False)
