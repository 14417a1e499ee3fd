"""API keys: made, shown once, recognised, revoked.

A key is `ctk_` and 32 letters and digits: 190 random bits. So its SHA-256 can be neither
guessed nor searched, and needs neither salt nor a slow hash; and the prefix lets scanners of
leaked secrets find it. v2's clients are given `cartrita_` and 64 hexadecimal digits, which is
what some of them check for; both are keys like any other.
"""

import asyncio
import secrets
import string
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from cartrita.auth.claims import Claims
from cartrita.auth.recent import Recent
from cartrita.auth.scopes import checked, rights, within
from cartrita.clock import Clock, iso, new_id
from cartrita.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    InvalidParameters,
    NotFound,
    ResourceLimitExceeded,
    ServiceUnavailable,
)
from cartrita.protocol.principal import KEY_PREFIX, V2_KEY_PREFIX, Principal
from cartrita.storage.apikeys import ApiKey, ApiKeys, Held
from cartrita.storage.runtime import Audit, AuditEntry

LENGTH, V2_LENGTH = 32, 64
MOST = 100
"""Keys of one user."""

USUAL_SCOPES = ("tasks:*", "agents:read")
"""What programs need, and no more: neither other keys nor budgets."""

USUAL_DAYS = 90

REFUSED = "The API key is not accepted: it was revoked, has expired, or never was one."
CREATE, REVOKE = "CREATE_KEY", "REVOKE_KEY"
"""What the audit log calls them."""

REMEMBERED = 4096
LOOKERS, PATIENCE = 4, 5.0
"""Questions to the store at once, so that a flood of wrong keys leaves it to others, and seconds
for which one more may wait."""

USED_EVERY = 60.0
"""Seconds for which one note that a key was used is good enough."""

DAY = 86_400.0
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Known:
    """What the store said of a key, and when in monotonic seconds."""

    claims: Claims
    at: float


class KeyDesk:
    """Where keys are made, recognised and revoked. Belongs to one event loop.

    What the store says of a key is good for `ttl` seconds: a key that is revoked elsewhere is
    refused here that much later at the latest, and one that is revoked here, at once.

    Args:
        audit: Where it is noted who made and revoked which.
        ttl: As for tokens, see `Revocations`.
        longest: Days that a key may live.
    """

    def __init__(
        self, keys: ApiKeys, audit: Audit, clock: Clock, ttl: float = 5.0, longest: int = 366
    ) -> None:
        self._keys, self._audit, self._clock = keys, audit, clock
        self._ttl, self._longest = ttl, longest
        self._known: Recent[bytes, Known] = Recent(REMEMBERED)
        self._revoked: Recent[str, bool] = Recent(REMEMBERED)
        self._asking: dict[bytes, asyncio.Task[Claims | None]] = {}
        self._lookers = asyncio.Semaphore(LOOKERS)

    async def create(
        self,
        claims: Claims,
        name: str,
        scopes: Sequence[str] | None,
        days: int | None,
        *,
        v2: bool = False,
    ) -> tuple[ApiKey, str]:
        """Make a key of whoever these claims are; return it with its secret, told only here.

        Args:
            claims: Of the credentials with which it is asked for.
            name: For people.
            scopes: What it may be used for; `USUAL_SCOPES` when None.
            days: Until it expires; `USUAL_DAYS` when None, or fewer if keys live no longer.
            v2: In the form that v2's clients know, and for as long as keys live.

        Raises:
            InvalidParameters: A scope or the number of days is wrong.
            AuthorizationFailed: The credentials may not, or less than the key would.
            NotFound: They have no account here.
            ResourceLimitExceeded: There are too many already.
        """
        who = _allowed(claims.principal(), "keys:write")
        chosen = USUAL_SCOPES if scopes is None else checked(scopes)
        within(chosen, who.role, who.scopes)
        if not claims.ours:
            raise NotFound("These credentials have no account here.")
        secret = _secret(v2=v2)
        life = self._life(self._longest if v2 and days is None else days)
        now = round(self._clock.now(), 3)
        key = ApiKey(new_id(), who.user, name, chosen, now, now + life)
        if not await self._keys.add(key, _digest(secret), MOST):
            raise ResourceLimitExceeded(f"You have {MOST} API keys already: revoke one of them.")
        await self._note(CREATE, key, who)
        return key, secret

    async def page(self, who: Principal, limit: int, before: str | None) -> list[ApiKey]:
        """Return keys, newest first, older than `before`: one's own, or for admins all."""
        _allowed(who, "keys:read")
        return await self._keys.page(None if who.admin else who.user, limit, before)

    async def revoke(self, key_id: str, who: Principal) -> None:
        """Take a key back, for good.

        Raises:
            NotFound: There is none, or it is somebody else's.
        """
        _allowed(who, "keys:write")
        key = await self._keys.remove(key_id, None if who.admin else who.user)
        if key is None:
            raise NotFound(f"There is no API key {key_id!r} of yours.")
        self._revoked.put(key_id, True)
        await self._note(REVOKE, key, who)

    async def admit(self, secret: str) -> Claims:
        """Return what a key says.

        Raises:
            AuthenticationFailed: It is none of ours, or not any more; always in the same words.
            ServiceUnavailable: That cannot be found out now.
        """
        digest = _digest(secret)
        known = self._known.get(digest)
        if known and self._clock.monotonic() - known.at < self._ttl:
            claims: Claims | None = known.claims
        else:
            claims = await self._asked(digest)
        if claims is None or self._over(claims):
            raise AuthenticationFailed(REFUSED)
        return claims

    def _life(self, days: int | None) -> float:
        chosen = min(USUAL_DAYS, self._longest) if days is None else days
        if not 1 <= chosen <= self._longest:
            problem = f"takes 1 to {self._longest}"
            fields = [("expiresInDays", problem)]
            raise InvalidParameters(f"'expiresInDays' {problem}.", fields=fields)
        return chosen * DAY

    def _over(self, claims: Claims) -> bool:
        gone = claims.key is not None and self._revoked.get(claims.key) is not None
        return gone or self._clock.now() >= claims.expires_at

    async def _asked(self, digest: bytes) -> Claims | None:
        task = self._asking.get(digest)
        if task is None:
            task = self._asking[digest] = asyncio.create_task(self._ask(digest))
            task.add_done_callback(lambda _: self._asking.pop(digest))
        # One caller that leaves must not take the question away from the others.
        return await asyncio.shield(task)

    async def _ask(self, digest: bytes) -> Claims | None:
        at = self._clock.monotonic()
        held = await self._look(digest)
        if held is None or held.user.disabled:
            self._known.drop(digest)  # what never was a key must not push others out
            return None
        claims = _claims(held)
        self._known.put(digest, Known(claims, at))
        await self._used(held.key)
        return claims

    async def _look(self, digest: bytes) -> Held | None:
        try:
            async with asyncio.timeout(PATIENCE), self._lookers:
                return await self._keys.find(digest)
        except TimeoutError:
            raise ServiceUnavailable("Too many API keys at once.", retry_after=2) from None

    async def _used(self, key: ApiKey) -> None:
        now = self._clock.now()
        if key.last_used_at is None or now - key.last_used_at >= USED_EVERY:
            with suppress(ServiceUnavailable):
                await self._keys.touch(key.id, now)

    async def _note(self, action: str, key: ApiKey, who: Principal) -> None:
        detail = {
            "user": key.user_id,
            "name": key.name,
            "scopes": list(key.scopes),
            "expiresAt": iso(key.expires_at),
        }
        now = self._clock.now()
        await self._audit.note(AuditEntry(now, who.user, action, key.id, "ok", detail))


def _secret(*, v2: bool) -> str:
    if v2:
        return V2_KEY_PREFIX + secrets.token_hex(V2_LENGTH // 2)
    return KEY_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))


def _allowed(who: Principal, permission: str) -> Principal:
    if not who.may(permission):
        raise AuthorizationFailed(f"These credentials do not cover {permission!r}.")
    return who


def _claims(held: Held) -> Claims:
    key, user = held
    role, scopes = rights(user.role, key.scopes)
    return Claims(
        user=user.id,
        tenant=user.tenant,
        role=role,
        scopes=scopes,
        jti=f"key:{key.id}",
        issued_at=int(key.created_at),
        expires_at=int(key.expires_at),
        email=user.email,
        key=key.id,
    )


def _digest(secret: str) -> bytes:
    # What is longer than any key of ours is none, however it goes on.
    text = secret[: len(V2_KEY_PREFIX) + V2_LENGTH + 1]
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
