"""Keeps everything in this process, for tests and trying out."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cartrita.errors import ResourceLimitExceeded
from cartrita.storage.people import FIRST_NUMBER
from cartrita.storage.ports import Grant, Login, MemoryRecord, Recalled, Renewal, User


class InMemoryMemories:
    """Memories in a dictionary, searched one by one.

    Args:
        capacity: Records at most, over all tenants.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._kept: dict[str, dict[str, tuple[str, MemoryRecord, npt.NDArray[np.float32]]]] = {}

    async def store(
        self,
        tenant: str,
        records: Sequence[MemoryRecord],
        vectors: npt.NDArray[np.float32],
        model: str,
    ) -> None:
        """Keep records, all or none.

        Raises:
            ResourceLimitExceeded: They do not fit any more.
        """
        own = self._kept.get(tenant, {})
        fresh = sum(str(record.id) not in own for record in records)
        if fresh + sum(map(len, self._kept.values())) > self._capacity:
            raise ResourceLimitExceeded(
                f"{self._capacity} memories are kept already; configure PostgreSQL for more."
            )
        for record, vector in zip(records, vectors, strict=True):
            self._kept.setdefault(tenant, {})[str(record.id)] = (model, record, vector)

    async def search(
        self,
        tenant: str,
        vector: npt.NDArray[np.float32],
        model: str,
        *,
        limit: int,
        threshold: float,
        session: str | None = None,
    ) -> list[Recalled]:
        """Return the tenant's records most like `vector`, best first."""
        found = [
            Recalled(record, float(own @ vector))
            for made_by, record, own in self._kept.get(tenant, {}).values()
            if (made_by, own.size) == (model, vector.size) and session in (None, record.session)
        ]
        near = [item for item in found if item.score >= threshold]
        return sorted(near, key=lambda item: (-item.score, item.record.id))[:limit]

    async def foreign(self, tenant: str, model: str) -> str | None:
        """Return another model whose vectors the tenant has here, if there is one."""
        made_by = {name for name, _, _ in self._kept.get(tenant, {}).values()}
        return min(made_by - {model}, default=None)


@dataclass(slots=True)
class _RefreshToken:
    """One row of what Postgres calls `refresh_tokens`."""

    family: str
    user_id: str
    expires_at: float
    used: bool = False
    revoked: bool = False


class InMemoryUsers:
    """Accounts and sessions in dictionaries.

    Attributes:
        logins: By the account's id; `InMemoryPeople` changes them, too.
    """

    def __init__(self) -> None:
        self.logins: dict[str, Login] = {}
        self._numbers = itertools.count(FIRST_NUMBER)
        self._tokens: dict[bytes, _RefreshToken] = {}
        self._barred: dict[str, float] = {}

    async def add(self, user: User, password_hash: str) -> bool:
        """Add an account, unless the address is taken."""
        if await self.find_login(user.email) is not None:
            return False
        number = user.v2_id or next(self._numbers)
        self.logins[user.id] = Login(replace(user, v2_id=number), password_hash)
        return True

    async def find(self, user_id: str) -> User | None:
        """Return an account."""
        login = self.logins.get(user_id)
        return login.user if login else None

    async def find_login(self, email: str) -> Login | None:
        """Return the account with this address, with its password's hash."""
        return next((login for login in self.logins.values() if login.user.email == email), None)

    async def set_password(self, user_id: str, password_hash: str) -> None:
        """Replace the hash; sessions go on."""
        if login := self.logins.get(user_id):
            self.logins[user_id] = replace(login, password_hash=password_hash)

    async def grant(self, grant: Grant) -> None:
        """Begin a session. Forgets this user's expired tokens on the way."""
        own = [(d, t) for d, t in self._tokens.items() if t.user_id == grant.user_id]
        for digest, token in own:
            if token.expires_at <= grant.issued_at:
                del self._tokens[digest]
        self._tokens[grant.digest] = _RefreshToken(grant.family, grant.user_id, grant.expires_at)

    async def renew(self, spent: bytes, fresh: bytes, now: float, expires_at: float) -> Renewal:
        """Spend one refresh token and put another in its place."""
        token = self._tokens.get(spent)
        if token is None or token.revoked or token.expires_at <= now:
            return Renewal()
        if token.used:
            return Renewal(reused=token.family)
        user = await self.find(token.user_id)
        if user is None or user.disabled:
            return Renewal()
        token.used = True
        self._tokens[fresh] = _RefreshToken(token.family, token.user_id, expires_at)
        return Renewal(user, token.family)

    async def families(self, user_id: str, digest: bytes | None = None) -> tuple[str, ...]:
        """Return a user's sessions, or only the one that a refresh token of theirs is of."""
        own = {
            token.family
            for key, token in self._tokens.items()
            if token.user_id == user_id and digest in (None, key)
        }
        return tuple(sorted(own))

    async def revoke(
        self, families: Sequence[str], tokens: Sequence[str], now: float, until: float
    ) -> None:
        """End sessions, and bar access tokens."""
        for token in self._tokens.values():
            token.revoked = token.revoked or token.family in families
        self._barred = {key: end for key, end in self._barred.items() if end > now}
        self._barred |= dict.fromkeys([*families, *tokens], until)

    def drop_sessions(self, user_id: str) -> None:
        """Forget all sessions of a user."""
        self._tokens = {d: t for d, t in self._tokens.items() if t.user_id != user_id}

    async def barred(self, ids: Sequence[str], user_id: str | None) -> bool:
        """Tell whether one of these was revoked, or the user may not come in."""
        user = None if user_id is None else await self.find(user_id)
        welcome = user_id is None or (user is not None and not user.disabled)
        return not welcome or any(key in self._barred for key in ids)
