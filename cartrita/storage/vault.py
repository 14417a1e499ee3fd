"""What keeps users' keys of providers, and what happened to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

Severity = Literal["info", "warning", "critical"]
Added = Literal["added", "taken", "full", "nobody"]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A text that only the master key opens, and only in its place.

    Attributes:
        master: Id of the master key.
        nonce: 12 bytes, never used twice.
        box: AES-256-GCM's output, its tag included.
    """

    master: str
    nonce: bytes
    box: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class VaultKey:
    """A key without its value.

    Attributes:
        id: UUIDv7, so that ids sort by age.
        owner: The user; None for the instance's own.
        provider: Whose key it is; one owner has one name once per provider.
        metadata: JSON.
        version: Number of the value it has now, from 1.
        rotated_at: When it got that, in Unix seconds, as all times here.
        rotate_days: After so many it is due for another; None never.
        deleted_at: Soft: until it is forgotten it can be brought back.
    """

    id: str
    owner: str | None
    provider: str
    name: str
    created_at: float
    updated_at: float
    rotated_at: float
    category: str = ""
    visibility: str = "MASKED"
    scopes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    active: bool = True
    expires_at: float | None = None
    rotate_days: int | None = None
    rotate_policy: str = ""
    version: int = 1
    used: int = 0
    last_used_at: float | None = None
    deleted_at: float | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One value that a key had.

    Attributes:
        checksum: Tells values apart, and nothing else of them.
        reason: Why it came.
    """

    number: int
    sealed: Sealed
    checksum: str
    at: float
    reason: str = ""


class Held(NamedTuple):
    """A key with the value it has now."""

    key: VaultKey
    version: Version


class VaultKeys(Protocol):
    """Keys with their values, sealed. Raises `ServiceUnavailable` where it cannot be reached.

    Nobody finds or changes another owner's.
    """

    async def add(self, key: VaultKey, version: Version, most: int) -> Added:
        """Keep a key: not one whose name is `taken`, nor more than `most`, nor of `nobody`."""

    async def find(self, owner: str | None, key_id: str) -> Held | None:
        """Return a key that is not deleted."""

    async def named(self, owner: str | None, provider: str, name: str) -> Held | None:
        """Return the key of that name that is not deleted."""

    async def all(self, owner: str | None) -> list[Held]:
        """Return all that are not deleted, newest first."""

    async def put(self, owner: str | None, key_id: str, version: Version, keep: int) -> bool:
        """Give a key its next value and forget all but the last `keep`.

        Returns:
            False when the version's number is not the next one, or there is no such key.
        """

    async def reseal(self, owner: str | None, key_id: str, version: Version) -> bool:
        """Put the same value sealed anew in a version's place; False where there is none."""

    async def versions(self, owner: str | None, key_id: str) -> list[Version]:
        """Return the values that are kept, newest first."""

    async def change(self, key: VaultKey) -> bool:
        """Write what may change beside the value: False when there is no such key."""

    async def remove(self, owner: str | None, key_id: str, at: float) -> bool:
        """Delete a key softly: until it is forgotten it can be brought back."""

    async def restore(self, owner: str | None, provider: str, name: str, at: float) -> bool:
        """Bring back the key of that name that was deleted last, if the name is free."""

    async def touch(self, owner: str | None, key_id: str, at: float) -> None:
        """Count one use."""

    async def census(self, now: float) -> Mapping[str, int]:
        """Return how many of everybody's are `total`, `active`, `expired`, `due`, and `owners`."""


@dataclass(frozen=True, slots=True)
class VaultEvent:
    """What somebody did to keys.

    Attributes:
        owner: Who did it.
        id: Given by the book, growing.
    """

    owner: str
    kind: str
    description: str
    at: float
    severity: Severity = "info"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0


class Tally(NamedTuple):
    """How often something happened on a day (UTC, as `2026-11-26`)."""

    day: str
    kind: str
    severity: str
    times: int


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """How often keys of a provider are to be changed."""

    id: str
    owner: str
    provider: str
    name: str
    interval_days: int
    grace_days: int
    auto: bool
    enabled: bool
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Rotation:
    """A change of a key's value that was planned, and perhaps done."""

    id: str
    owner: str
    key_id: str
    reason: str
    scheduled_at: float
    completed_at: float | None = None


class VaultBook(Protocol):
    """What happened to keys, and what is to happen. Raises `ServiceUnavailable`."""

    async def note(self, event: VaultEvent, keep: int) -> None:
        """Add an event, and forget all but the owner's last `keep`."""

    async def events(self, owner: str | None, limit: int, offset: int = 0) -> list[VaultEvent]:
        """Return events, newest first: an owner's, or everybody's."""

    async def tallies(self, owner: str | None, since: float) -> list[Tally]:
        """Count events by day and kind, the newest day first."""

    async def preferences(self, owner: str) -> Mapping[str, Any]:
        """Return what somebody chose; empty where nothing."""

    async def prefer(self, owner: str, chosen: Mapping[str, Any]) -> None:
        """Keep what somebody chose."""

    async def preferring(self) -> int:
        """Return how many have chosen something."""

    async def grant(self, digest: bytes, owner: str, key_id: str, now: float, until: float) -> None:
        """Let the token of this digest show a key once; forgets the owner's that have expired."""

    async def spend(self, digest: bytes, owner: str, now: float) -> str | None:
        """Use up a token of this owner; the key's id, or None where it is not good any more."""

    async def outstanding(self, now: float) -> int:
        """Return how many tokens are good now."""

    async def sweep(self, owner: str, now: float) -> int:
        """Forget this owner's tokens that have expired; how many those were."""

    async def policies(self, owner: str) -> list[RotationPolicy]:
        """Return an owner's policies, oldest first."""

    async def put_policy(self, policy: RotationPolicy, most: int) -> bool:
        """Keep a policy, in place of the owner's of the same provider and name; False when full."""

    async def drop_policy(self, owner: str, policy_id: str) -> bool:
        """Forget a policy."""

    async def schedule(self, rotation: Rotation, keep: int) -> bool:
        """Plan a change of one's own key; False where it is none. Keeps the last `keep`."""

    async def complete(self, owner: str, rotation_id: str, at: float) -> Rotation | None:
        """Note that a planned change is done, once; None when it is not to be done any more."""

    async def rotations(self, owner: str, limit: int) -> list[Rotation]:
        """Return planned and done changes, newest first."""
