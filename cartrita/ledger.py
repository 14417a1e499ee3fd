"""The effect ledger: what every attempt at an effect finds, and what people decide about."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cartrita.effects import Finding, State, effect_id
from cartrita.journal import TaskRecord


@dataclass(frozen=True, slots=True)
class Intent:
    """An effect and the attempt that is about to act, or did.

    Attributes:
        root: The task, or the first of those that try it again: they share their effects.
    """

    id: str
    root: str
    task_id: str
    task_type: str
    user: str
    tenant: str
    name: str
    key: str
    attempt: int

    @classmethod
    def of(cls, record: TaskRecord, attempt: int, name: str, key: str) -> "Intent":
        """Return what an attempt at a task intends."""
        root, who = record.root or record.task_id, record.principal
        return cls(
            effect_id(root, name, key),
            root,
            record.task_id,
            record.task_type,
            who.user,
            who.tenant,
            name,
            key,
            attempt,
        )


@dataclass(frozen=True, slots=True)
class Past:
    """An effect that earlier attempts at a task left behind."""

    id: str
    name: str
    state: State


class Ledger(Protocol):
    """One shard's way to write effects, in the order of the calls.

    An attempt is known by the shard, its epoch, the task and the attempt's number; what another
    attempt has begun is not this one's to end. What an answer says is durable. The futures wait
    through an outage of the database for as long as it takes, and fail with `StaleEpoch` once a
    newer writer owns the shard.
    """

    def begin(self, intent: Intent) -> asyncio.Future[Finding]:
        """Let an attempt act: `BEGUN`. It must not where something else is answered.

        `DONE` comes with the result. `UNKNOWN` makes this attempt the one that may settle it.
        Asking again changes nothing. Cancelling the future takes back what was not sent yet.
        """

    def end(self, intent: Intent, finding: Finding, *, of: State) -> asyncio.Future[Finding]:
        """Say what became of an effect, and return what stands.

        Args:
            intent: As it was begun.
            finding: Written if the effect is still as it was to this attempt.
            of: What this attempt was answered when it began: `BEGUN` or `UNKNOWN`.
        """

    async def past(self, roots: Sequence[str]) -> dict[str, list[Past]]:
        """Return what earlier attempts left, by root; what they had begun is unknown by now.

        For a shard that was just taken. Raises `ServiceUnavailable` where it cannot be reached.
        """

    async def close(self) -> None:
        """Write what is queued and refuse the rest."""


@dataclass(frozen=True, slots=True)
class EffectRow:
    """An effect as people see it.

    Attributes:
        task_id: The last task that acted on it.
        attempt: That task's attempt.
        state: `UNKNOWN` also where an attempt had begun it and certainly is over.
        begun_at: Unix seconds.
        ended_at: Unix seconds at which its state was last written.
        settled_by: Who decided, where the attempt itself did not: `probe`, or a user.
    """

    id: str
    task_id: str
    task_type: str
    user: str
    tenant: str
    name: str
    key: str
    attempt: int
    state: State
    result: Any
    begun_at: float
    ended_at: float | None = None
    settled_by: str | None = None


class EffectBook(Protocol):
    """All shards' effects, for people. Raises `ServiceUnavailable` where it cannot be reached."""

    async def page(
        self, user: str | None, state: State, limit: int, before: str | None
    ) -> list[EffectRow]:
        """Return effects, those of the newest tasks first.

        Args:
            user: Only this user's; everybody's when None.
            state: Only these.
            limit: How many at most.
            before: Only effects with an id below this one.
        """

    async def of_work(self, root: str) -> list[EffectRow]:
        """Return the effects of a task and of those that try it again, in the order of their begin.

        Args:
            root: The first of these tasks.
        """

    async def find(self, effect_id: str) -> EffectRow | None:
        """Return an effect."""

    async def resolve(self, effect_id: str, finding: Finding, by: str) -> bool:
        """Decide about an unknown effect; False for one that is not, or no more.

        Args:
            effect_id: The effect.
            finding: `DONE` or `NOT_DONE`.
            by: Who decides.
        """
