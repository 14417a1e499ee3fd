"""Verifies the tokens that v2 issued: HS256, and nothing but reading.

Off unless `auth.accept_v2_tokens` says so. A v2 token never makes anybody more than a user,
whatever role it claims: v2 handed that role out by what an e-mail address contained.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

from cartrita.auth.claims import Claims, check_names, check_times
from cartrita.auth.compact import Refused
from cartrita.auth.tokens import VerifyingKey, opened, or_refuse, shared_key
from cartrita.clock import Clock, SystemClock
from cartrita.protocol.principal import USER_SCOPES, V2_ISSUER, Role

AUDIENCE = "cartrita-clients"
NAMESPACE = UUID("6f1d7c4e-2b0a-5c53-9b8e-0d9f6f0c2a11")
"""Turns v2's integer ids into ids of the form everything here expects, always the same."""


def v2_user(number: int) -> str:
    """Return the id here of the account that had this one in v2."""
    return str(uuid5(NAMESPACE, str(number)))


class V2Tokens:
    """Reads v2's tokens with the secret v2 signed them with."""

    def __init__(self, secret: str, clock: Clock | None = None) -> None:
        self._key = shared_key(secret)
        self._clock = clock or SystemClock()

    def verify(self, token: str) -> Claims:
        """Return what a token of v2 says.

        Raises:
            AuthenticationFailed: It is not one, or not any more; always with the same words.
        """
        return or_refuse(lambda: self._read(token))

    def _read(self, token: str) -> Claims:
        claims = opened(token, "HS256", self._only_key)
        check_names(claims, V2_ISSUER, AUDIENCE)
        issued, expires = check_times(claims, self._clock.now())
        user = v2_user(_subject(claims))
        return Claims(
            user=user,
            tenant=user,
            role=Role.USER,
            scopes=USER_SCOPES,
            # v2 gave its tokens no id; the digest is one, and can be revoked.
            jti=f"v2:{sha256(token.encode()).hexdigest()}",
            issued_at=issued,
            expires_at=expires,
            ours=False,
        )

    def _only_key(self, header: Mapping[str, Any]) -> VerifyingKey:
        if header != {"alg": "HS256", "typ": "JWT"}:
            raise Refused("a header v2 does not write")
        return self._key


def _subject(claims: Mapping[str, Any]) -> int:
    subject = claims.get("sub")
    digits = subject if isinstance(subject, str) else str(subject)
    if type(subject) not in (int, str) or not (digits.isascii() and digits.isdigit()):
        raise Refused("sub is not an id of v2")
    return int(digits)
