"""What an access token says, and the checks of it that need no key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cartrita.auth.compact import Refused
from cartrita.protocol.principal import USER_SCOPES, Principal, Role

LEEWAY = 60
"""Seconds by which clocks may differ: a token is good from `nbf - 60` until `exp + 60`."""
LONGEST_LIFETIME = 86_400
"""Seconds between `iat` and `exp`; the seed's tokens lived a day."""
YEAR_10000 = 253_402_300_800
LONGEST_TEXT = 1024

ROLE_SCOPES: Mapping[Role, tuple[str, ...]] = {
    Role.USER: USER_SCOPES,
    Role.ADMIN: ("*",),
    Role.SYSTEM: ("*",),
}


@dataclass(frozen=True, slots=True)
class Claims:
    """A verified token, or an API key.

    Attributes:
        jti: The token's own id, which is what gets revoked.
        session: The family of refresh tokens it belongs to; None for v2's tokens.
        issued_at: Unix seconds.
        expires_at: Unix seconds.
        ours: Whether `user` is an account here, rather than one of v2's.
        key: The API key that these are the claims of; None for a token's.
    """

    user: str
    tenant: str
    role: Role
    scopes: tuple[str, ...]
    jti: str
    issued_at: int
    expires_at: int
    session: str | None = None
    email: str | None = None
    ours: bool = True
    key: str | None = None

    def principal(self) -> Principal:
        """Return who asks."""
        return Principal(self.user, self.tenant, self.role, self.scopes)

    def alive(self, now: float) -> bool:
        """Tell whether the token has not expired yet."""
        return now < self.expires_at + LEEWAY


def check_names(claims: Mapping[str, Any], issuer: str, audience: str) -> None:
    """Refuse a token of somebody else, or for somebody else; a list of audiences too."""
    if claims.get("iss") != issuer or claims.get("aud") != audience:
        raise Refused("another issuer or audience")


def check_times(claims: Mapping[str, Any], now: float) -> tuple[int, int]:
    """Return when the token was issued and when it expires, if it is good at `now`."""
    issued, expires = instant(claims, "iat"), instant(claims, "exp")
    begins = instant(claims, "nbf") if "nbf" in claims else issued
    if not begins <= expires or not 0 <= expires - issued <= LONGEST_LIFETIME:
        raise Refused("lives backwards or too long")
    if not max(issued, begins) - LEEWAY <= now < expires + LEEWAY:
        raise Refused("not yet or no longer good")
    return issued, expires


def instant(claims: Mapping[str, Any], name: str) -> int:
    """Return a claim that must be whole Unix seconds."""
    value = claims.get(name)
    if type(value) is not int or not 0 <= value < YEAR_10000:
        raise Refused(f"{name} is not a time")
    return value


def text(claims: Mapping[str, Any], name: str) -> str:
    """Return a claim that must be a short text."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT:
        raise Refused(f"{name} is not a text")
    return value
