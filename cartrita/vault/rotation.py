"""When keys are due for other values.

Nobody but a person, or a program of theirs, can have a provider make a new key: nothing here
changes one by itself. What can be done is to compute when that is due, and to remember that it was
planned and done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from cartrita.clock import iso, new_id
from cartrita.errors import InvalidParameters, NotFound, ResourceLimitExceeded
from cartrita.protocol.text import Storable
from cartrita.protocol.wire import WireModel
from cartrita.storage.vault import Rotation, RotationPolicy, VaultEvent, VaultKey
from cartrita.vault.desk import DAY, Owner, VaultDesk, due_at
from cartrita.vault.providers import provider_of

BY_HAND = (
    "Keys are not changed by themselves: providers let nobody do that for you. Make a new one "
    "there and store it with POST /api/rotation-scheduling/complete."
)
MOST_POLICIES = 100
KEPT = 500
SOON = 7 * DAY

State = Literal["critical", "warning", "healthy"]
Word = Annotated[Storable, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]


class NewPolicy(WireModel):
    """How often keys of a provider are to be changed."""

    provider_name: Word
    policy_name: Word = "default"
    interval_days: Annotated[int, Field(strict=True, ge=1, le=3650)] = 90
    auto_rotate: bool = False
    grace_days: Annotated[int, Field(strict=True, ge=0, le=365)] = 7
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Due:
    """A key that is due, or soon will be.

    Attributes:
        at: When it is due, in Unix seconds.
        late: Whether its days of grace are over, too.
    """

    key: VaultKey
    at: float
    late: bool
    policy: RotationPolicy | None


class RotationDesk:
    """When keys are due, and who said that they would change them.

    Args:
        vault: The keys.
    """

    def __init__(self, vault: VaultDesk) -> None:
        self._vault, self._book, self._clock = vault, vault.book, vault.clock

    async def policies(self, owner: Owner) -> list[RotationPolicy]:
        """Return an owner's policies, oldest first."""
        return await self._book.policies(owner.actor)

    async def put(self, owner: Owner, given: NewPolicy) -> RotationPolicy:
        """Keep a policy, in place of the one of the same provider and name.

        Raises:
            NotFound: There is no such provider.
            ResourceLimitExceeded: There are as many as one may have, or no account.
        """
        provider_of(given.provider_name)
        now = self._clock.now()
        policy = RotationPolicy(
            new_id(),
            owner.actor,
            given.provider_name,
            given.policy_name,
            given.interval_days,
            given.grace_days,
            given.auto_rotate,
            given.enabled,
            now,
            now,
        )
        if not await self._book.put_policy(policy, MOST_POLICIES):
            raise ResourceLimitExceeded(f"An account keeps up to {MOST_POLICIES} policies.")
        named = (policy.provider, policy.name)
        kept = await self._book.policies(owner.actor)
        return next(one for one in kept if (one.provider, one.name) == named)

    async def drop(self, owner: Owner, policy_id: str) -> None:
        """Forget a policy.

        Raises:
            NotFound: There is none of that id.
        """
        if not await self._book.drop_policy(owner.actor, policy_id):
            raise NotFound("There is no such policy.")

    async def due(self, owner: Owner, within: float = 0.0) -> list[Due]:
        """Return keys that are due within so many seconds, the most urgent first."""
        keys = [held.key for held in await self._vault.keys.all(owner.id)]
        return due_among(keys, await self.policies(owner), self._clock.now() + within)

    async def affected(self, owner: Owner, given: NewPolicy) -> list[VaultKey]:
        """Return the active keys that a policy would be for."""
        keys = [held.key for held in await self._vault.keys.all(owner.id)]
        return [key for key in keys if key.active and key.provider == given.provider_name]

    async def schedule(self, owner: Owner, key_id: str, reason: str) -> Rotation:
        """Note that a key is to get another value.

        Raises:
            NotFound: There is no such key.
        """
        rotation = Rotation(new_id(), owner.actor, key_id, reason[:500], self._clock.now())
        if not await self._book.schedule(rotation, KEPT):
            raise NotFound("There is no such key.")
        told = VaultEvent(
            owner.actor, "rotation_scheduled", "A change was planned.", self._clock.now(),
            metadata={"keyId": key_id, "eventId": rotation.id},
        )  # fmt: skip
        await self._vault.report(told)
        return rotation

    async def complete(self, owner: Owner, rotation_id: str, value: str) -> Rotation:
        """Give the key that was planned for its new value.

        Raises:
            NotFound: Nothing of that id is planned still.
            InvalidParameters: The value is not one that the key can take.
        """
        found = await self._book.rotations(owner.actor, KEPT)
        planned = next((r for r in found if r.id == rotation_id and not r.completed_at), None)
        if planned is None:
            raise NotFound("Nothing of that id is planned, or it is done.")
        held = await self._vault.find(owner, planned.key_id)
        await self._vault.rotate(owner, held, value, planned.reason)
        done = await self._book.complete(owner.actor, rotation_id, self._clock.now())
        if done is None:
            raise InvalidParameters("Somebody else has done it just now.")
        return done

    async def history(self, owner: Owner, limit: int) -> list[Rotation]:
        """Return planned and done changes, newest first."""
        return await self._book.rotations(owner.actor, limit)


def due_among(
    keys: Sequence[VaultKey], policies: Sequence[RotationPolicy], until: float
) -> list[Due]:
    """Return which of some keys are due by then, the most urgent first. Pure.

    An enabled policy of the key's provider shortens its own interval, and never lengthens it.
    """
    found = []
    for key in keys:
        ruling = [p for p in policies if p.enabled and p.provider == key.provider]
        policy = min(ruling, key=lambda one: one.interval_days, default=None)
        dates = [at for at in (due_at(key), _by(policy, key)) if at is not None]
        at = min(dates, default=None)
        if not key.active or at is None or at > until:
            continue
        grace = (policy.grace_days if policy else 0) * DAY
        found.append(Due(key, at, at + grace <= until, policy))
    return sorted(found, key=lambda due: due.at)


def _by(policy: RotationPolicy | None, key: VaultKey) -> float | None:
    return None if policy is None else key.rotated_at + policy.interval_days * DAY


def state_of(due: Sequence[Due], soon: Sequence[Due]) -> State:
    """Return how urgent it is: late ones are critical, due ones and soon ones a warning."""
    if any(one.late for one in due):
        return "critical"
    return "warning" if due or soon else "healthy"


def policy_seen(policy: RotationPolicy) -> dict[str, Any]:
    """Return a policy as v2 shows it."""
    return {
        "id": policy.id,
        "provider_name": policy.provider,
        "policy_name": policy.name,
        "interval_days": policy.interval_days,
        "auto_rotate": policy.auto,
        "grace_days": policy.grace_days,
        "enabled": policy.enabled,
        "created_at": iso(policy.created_at),
        "updated_at": iso(policy.updated_at),
    }


def due_seen(due: Due, now: float) -> dict[str, Any]:
    """Return a key that is due as v2 shows it."""
    return {
        "id": due.key.id,
        "key_name": due.key.name,
        "provider_name": due.key.provider,
        "next_rotation_at": iso(due.at),
        "days_overdue": max(0, int((now - due.at) // DAY)),
        "past_grace": due.late,
        "policy_name": due.policy.name if due.policy else None,
    }


def rotation_seen(rotation: Rotation) -> dict[str, Any]:
    """Return a planned or done change as v2 shows it."""
    done = rotation.completed_at
    return {
        "id": rotation.id,
        "key_id": rotation.key_id,
        "reason": rotation.reason,
        "status": "completed" if done else "scheduled",
        "scheduled_at": iso(rotation.scheduled_at),
        "completed_at": iso(done) if done else None,
    }
