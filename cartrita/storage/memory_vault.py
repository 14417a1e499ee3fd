"""Keeps keys of providers, and what happens to them, in this process."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cartrita.clock import iso
from cartrita.storage.ports import Users
from cartrita.storage.vault import (
    Added,
    Held,
    Rotation,
    RotationPolicy,
    Tally,
    VaultEvent,
    VaultKey,
    Version,
)

DAY = 86_400.0


class InMemoryVaultKeys:
    """Keys in a dictionary.

    Args:
        users: Whose they are.
    """

    def __init__(self, users: Users) -> None:
        self._users = users
        self._keys: dict[str, VaultKey] = {}
        self._values: dict[str, dict[int, Version]] = {}

    async def add(self, key: VaultKey, version: Version, most: int) -> Added:
        """Keep a key, unless it may not be."""
        if key.owner is not None and await self._users.find(key.owner) is None:
            return "nobody"
        if len(self._alive(key.owner)) >= most:
            return "full"
        if await self.named(key.owner, key.provider, key.name):
            return "taken"
        self._keys[key.id], self._values[key.id] = key, {version.number: version}
        return "added"

    async def find(self, owner: str | None, key_id: str) -> Held | None:
        """Return a key that is not deleted."""
        key = self._keys.get(key_id)
        mine = key is not None and key.owner == owner and key.deleted_at is None
        return self._held(key) if key and mine else None

    async def named(self, owner: str | None, provider: str, name: str) -> Held | None:
        """Return the key of that name."""
        found = [k for k in self._alive(owner) if (k.provider, k.name) == (provider, name)]
        return self._held(found[0]) if found else None

    async def all(self, owner: str | None) -> list[Held]:
        """Return all that are not deleted, newest first."""
        return [self._held(key) for key in sorted(self._alive(owner), key=_age, reverse=True)]

    async def put(self, owner: str | None, key_id: str, version: Version, keep: int) -> bool:
        """Give a key its next value and forget all but the last `keep`."""
        held = await self.find(owner, key_id)
        if held is None or version.number != held.key.version + 1:
            return False
        self._keys[key_id] = replace(
            held.key, version=version.number, rotated_at=version.at, updated_at=version.at
        )
        values = {**self._values[key_id], version.number: version}
        self._values[key_id] = {n: v for n, v in values.items() if n > version.number - keep}
        return True

    async def reseal(self, owner: str | None, key_id: str, version: Version) -> bool:
        """Put the same value sealed anew in a version's place."""
        held = await self.find(owner, key_id)
        before = self._values[key_id].get(version.number) if held else None
        if before is None:
            return False
        again = replace(before, sealed=version.sealed, checksum=version.checksum)
        self._values[key_id][version.number] = again
        return True

    async def versions(self, owner: str | None, key_id: str) -> list[Version]:
        """Return the values that are kept, newest first."""
        if await self.find(owner, key_id) is None:
            return []
        return sorted(self._values[key_id].values(), key=lambda v: v.number, reverse=True)

    async def change(self, key: VaultKey) -> bool:
        """Write what may change beside the value."""
        held = await self.find(key.owner, key.id)
        if held is None:
            return False
        before = held.key
        self._keys[key.id] = replace(
            key,
            provider=before.provider,
            name=before.name,
            created_at=before.created_at,
            rotated_at=before.rotated_at,
            version=before.version,
            used=before.used,
            last_used_at=before.last_used_at,
        )
        return True

    async def remove(self, owner: str | None, key_id: str, at: float) -> bool:
        """Delete a key softly."""
        held = await self.find(owner, key_id)
        if held is None:
            return False
        self._keys[key_id] = replace(held.key, deleted_at=at)
        return True

    async def restore(self, owner: str | None, provider: str, name: str, at: float) -> bool:
        """Bring back the key of that name that was deleted last, if the name is free."""
        gone = [
            key
            for key in self._keys.values()
            if (key.owner, key.provider, key.name) == (owner, provider, name) and key.deleted_at
        ]
        if not gone or await self.named(owner, provider, name):
            return False
        last = max(gone, key=lambda key: (key.deleted_at, key.id))
        self._keys[last.id] = replace(last, deleted_at=None, updated_at=at)
        return True

    async def touch(self, owner: str | None, key_id: str, at: float) -> None:
        """Count one use."""
        key = self._keys.get(key_id)
        if key is not None and key.owner == owner:
            latest = max(at, key.last_used_at or at)
            self._keys[key_id] = replace(key, used=key.used + 1, last_used_at=latest)

    async def census(self, now: float) -> Mapping[str, int]:
        """Return how many of everybody's there are, and of which kinds."""
        alive = [key for key in self._keys.values() if key.deleted_at is None]
        due = [k for k in alive if k.rotate_days and k.rotated_at + k.rotate_days * DAY <= now]
        return {
            "total": len(alive),
            "active": sum(key.active for key in alive),
            "expired": sum(key.expires_at is not None and key.expires_at <= now for key in alive),
            "due": len(due),
            "owners": len({key.owner for key in alive if key.owner}),
        }

    def _alive(self, owner: str | None) -> list[VaultKey]:
        return [k for k in self._keys.values() if k.owner == owner and k.deleted_at is None]

    def _held(self, key: VaultKey) -> Held:
        return Held(key, self._values[key.id][key.version])


class InMemoryVaultBook:
    """Events, choices, tokens and plans in lists and dictionaries.

    Args:
        users: Whose they are.
        keys: What they are about.
    """

    def __init__(self, users: Users, keys: InMemoryVaultKeys) -> None:
        self._users, self._keys = users, keys
        self._events: list[VaultEvent] = []
        self._chosen: dict[str, Mapping[str, Any]] = {}
        self._tokens: dict[bytes, tuple[str, str, float]] = {}
        self._policies: dict[tuple[str, str, str], RotationPolicy] = {}
        self._rotations: list[Rotation] = []
        self._count = 0

    async def note(self, event: VaultEvent, keep: int) -> None:
        """Add an event, and forget all but the owner's last `keep`."""
        if await self._users.find(event.owner) is None:
            return
        self._count += 1
        self._events.append(replace(event, id=self._count))
        mine = [e for e in self._events if e.owner == event.owner]
        for old in mine[: max(0, len(mine) - keep)]:
            self._events.remove(old)

    async def events(self, owner: str | None, limit: int, offset: int = 0) -> list[VaultEvent]:
        """Return events, newest first."""
        found = [event for event in reversed(self._events) if owner in (None, event.owner)]
        return found[offset : offset + limit]

    async def tallies(self, owner: str | None, since: float) -> list[Tally]:
        """Count events by day and kind."""
        counted = Counter(
            (iso(event.at)[:10], event.kind, event.severity)
            for event in self._events
            if owner in (None, event.owner) and event.at >= since
        )
        ordered = sorted(sorted(counted.items()), key=lambda item: item[0][0], reverse=True)
        return [Tally(*kind, count) for kind, count in ordered]

    async def preferences(self, owner: str) -> Mapping[str, Any]:
        """Return what somebody chose."""
        return self._chosen.get(owner, {})

    async def prefer(self, owner: str, chosen: Mapping[str, Any]) -> None:
        """Keep what somebody chose."""
        if await self._users.find(owner):
            self._chosen[owner] = dict(chosen)

    async def preferring(self) -> int:
        """Return how many have chosen something."""
        return len(self._chosen)

    async def grant(self, digest: bytes, owner: str, key_id: str, now: float, until: float) -> None:
        """Let the token of this digest show a key once."""
        await self.sweep(owner, now)
        if await self._users.find(owner):
            self._tokens[digest] = (owner, key_id, until)

    async def spend(self, digest: bytes, owner: str, now: float) -> str | None:
        """Use up a token of this owner."""
        whose, key_id, until = self._tokens.get(digest, ("", "", 0.0))
        if whose != owner:
            return None
        del self._tokens[digest]
        return key_id if until > now else None

    async def outstanding(self, now: float) -> int:
        """Return how many tokens are good now."""
        return sum(until > now for _, _, until in self._tokens.values())

    async def sweep(self, owner: str, now: float) -> int:
        """Forget this owner's tokens that have expired."""
        gone = [
            d for d, (whose, _, until) in self._tokens.items() if whose == owner and until <= now
        ]
        for digest in gone:
            del self._tokens[digest]
        return len(gone)

    async def policies(self, owner: str) -> list[RotationPolicy]:
        """Return an owner's policies, oldest first."""
        return sorted((p for p in self._policies.values() if p.owner == owner), key=lambda p: p.id)

    async def put_policy(self, policy: RotationPolicy, most: int) -> bool:
        """Keep a policy, in place of the owner's of the same provider and name."""
        named = (policy.owner, policy.provider, policy.name)
        others = [at for at in self._policies if at[0] == policy.owner and at != named]
        if len(others) >= most or await self._users.find(policy.owner) is None:
            return False
        before = self._policies.get(named)
        kept = replace(policy, id=before.id, created_at=before.created_at) if before else policy
        self._policies[named] = kept
        return True

    async def drop_policy(self, owner: str, policy_id: str) -> bool:
        """Forget a policy."""
        found = [at for at, p in self._policies.items() if (p.owner, p.id) == (owner, policy_id)]
        return bool([self._policies.pop(at) for at in found])

    async def schedule(self, rotation: Rotation, keep: int) -> bool:
        """Plan a change of one's own key."""
        if await self._keys.find(rotation.owner, rotation.key_id) is None:
            return False
        self._rotations.append(rotation)
        mine = [r for r in self._rotations if r.owner == rotation.owner]
        for old in mine[: max(0, len(mine) - keep)]:
            self._rotations.remove(old)
        return True

    async def complete(self, owner: str, rotation_id: str, at: float) -> Rotation | None:
        """Note that a planned change is done, once."""
        for place, one in enumerate(self._rotations):
            if (one.owner, one.id, one.completed_at) == (owner, rotation_id, None):
                self._rotations[place] = replace(one, completed_at=at)
                return self._rotations[place]
        return None

    async def rotations(self, owner: str, limit: int) -> list[Rotation]:
        """Return planned and done changes, newest first."""
        return [one for one in reversed(self._rotations) if one.owner == owner][:limit]


def _age(key: VaultKey) -> str:
    return key.id
