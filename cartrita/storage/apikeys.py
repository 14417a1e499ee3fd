"""What keeps API keys."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cartrita.storage.ports import User


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret, of which only a digest is kept.

    Attributes:
        id: UUIDv7, so that ids sort by age.
        scopes: Patterns of what it may be used for, where its user may, too.
        created_at: Unix seconds.
        expires_at: Unix seconds.
        last_used_at: Unix seconds, behind by a minute at most; None before its first use.
    """

    id: str
    user_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float
    last_used_at: float | None = None


class Held(NamedTuple):
    """A key and whose it is."""

    key: ApiKey
    user: User


class ApiKeys(Protocol):
    """API keys by the digest of their secret. Raises `ServiceUnavailable` where it is away."""

    async def add(self, key: ApiKey, digest: bytes, most: int) -> bool:
        """Keep a key, and forget those of its user that have expired by then.

        Args:
            key: The key, never used so far.
            digest: SHA-256 of its secret.
            most: Keys that one user may have.

        Returns:
            False when its user has that many, or is no account here.
        """

    async def find(self, digest: bytes) -> Held | None:
        """Return the key with this digest, expired or not."""

    async def page(self, user_id: str | None, limit: int, before: str | None) -> list[ApiKey]:
        """Return keys, newest first: a user's or everybody's, older than the key `before`."""

    async def remove(self, key_id: str, user_id: str | None) -> ApiKey | None:
        """Forget a key and return it; None when there is none, or it is not this user's."""

    async def touch(self, key_id: str, now: float) -> None:
        """Note that a key was used; a time before the one that is noted changes nothing."""
