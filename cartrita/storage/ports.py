"""What the rest of the program may ask of storage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from cartrita.protocol.principal import Role

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """A text somebody wants to find again.

    Attributes:
        id: Chosen by the caller; storing it again replaces it.
        stored_at: Unix seconds.
        session: The conversation it belongs to, if any.
    """

    id: UUID
    text: str
    stored_at: float
    session: str | None = None
    metadata: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recalled:
    """A memory and how alike it is to what was asked, -1 to 1."""

    record: MemoryRecord
    score: float


class Memories(Protocol):
    """Texts by meaning, one tenant's out of sight of every other's."""

    async def store(
        self,
        tenant: str,
        records: Sequence[MemoryRecord],
        vectors: npt.NDArray[np.float32],
        model: str,
    ) -> None:
        """Keep records, all or none; those with a known id are replaced.

        Args:
            tenant: Whose they are. Ids of different tenants never meet.
            records: With distinct ids.
            vectors: One row per record, normalised.
            model: What made the vectors; those of different models are never compared.
        """

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
        """Return the tenant's records most like `vector`, best first.

        Args:
            tenant: Whose records.
            vector: Normalised, as long as those stored.
            model: What made `vector`.
            limit: How many at most.
            threshold: The least cosine likeness.
            session: Only this conversation's; all of the tenant's when None.
        """

    async def foreign(self, tenant: str, model: str) -> str | None:
        """Return another model whose vectors the tenant has here, if there is one.

        What it made is out of sight of `model`, as their vectors cannot be compared.
        """


@dataclass(frozen=True, slots=True)
class User:
    """An account.

    Attributes:
        email: Normalised; no two accounts share one.
        tenant: The workspace it works in; its own id by default.
        created_at: Unix seconds.
        disabled: Whether it is kept but may not come in.
        v2_id: The number by which v2's clients know it; who keeps it gives it one.
    """

    id: str
    email: str
    name: str
    role: Role
    tenant: str
    created_at: float
    disabled: bool = False
    v2_id: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Login:
    """An account with what its password is compared to."""

    user: User
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """The first refresh token of a session.

    Attributes:
        digest: SHA-256 of the token, which itself is never stored.
        family: The session's id, shared by every token that follows this one.
        issued_at: Unix seconds.
        expires_at: Unix seconds.
    """

    digest: bytes
    family: str
    user_id: str
    issued_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Renewal:
    """What became of a refresh token that was presented.

    Attributes:
        user: Whose session goes on; None where it does not.
        family: The session that goes on.
        reused: The session to end, because the token had been spent before.
    """

    user: User | None = None
    family: str = ""
    reused: str | None = None


class Users(Protocol):
    """Accounts and their sessions. Raises `ServiceUnavailable` where it cannot be reached."""

    async def add(self, user: User, password_hash: str) -> bool:
        """Add an account, unless the address is taken: then tell so with False."""

    async def find(self, user_id: str) -> User | None:
        """Return an account."""

    async def find_login(self, email: str) -> Login | None:
        """Return the account with this normalised address, with its password's hash."""

    async def set_password(self, user_id: str, password_hash: str) -> None:
        """Replace the hash; sessions go on."""

    async def grant(self, grant: Grant) -> None:
        """Begin a session. Forgets this user's expired tokens on the way."""

    async def renew(self, spent: bytes, fresh: bytes, now: float, expires_at: float) -> Renewal:
        """Spend one refresh token and put another in its place, in one step.

        Of several calls with the same token exactly one renews; the others hear of a reuse.

        Args:
            spent: Digest of the token presented.
            fresh: Digest of its successor, in the same family.
            now: Unix seconds.
            expires_at: When the successor expires, in Unix seconds.
        """

    async def families(self, user_id: str, digest: bytes | None = None) -> tuple[str, ...]:
        """Return a user's sessions, or only the one that a refresh token of theirs is of."""

    async def revoke(
        self, families: Sequence[str], tokens: Sequence[str], now: float, until: float
    ) -> None:
        """End sessions, and bar access tokens.

        Args:
            families: Their refresh tokens are worth nothing from now on, and their ids are
                barred too, for the access tokens that name them.
            tokens: Ids of access tokens.
            now: Unix seconds; what was barred until before now is forgotten.
            until: Unix seconds after which no such access token can be alive.
        """

    async def barred(self, ids: Sequence[str], user_id: str | None) -> bool:
        """Tell whether one of these tokens or sessions was revoked, or the user may not come in.

        Args:
            ids: Of the access token and of its session.
            user_id: Must be an account that is not disabled; None for who has none here.
        """
