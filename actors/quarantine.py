"""What people may do about quarantined tasks: look, try again, discard."""

import hashlib
from dataclasses import replace
from typing import Any
from uuid import UUID

from actors.intake import Resubmit, again
from cartrita.channel.frames import pack
from cartrita.clock import Clock, iso
from cartrita.errors import (
    IdempotencyMismatch,
    InternalFailure,
    InvalidParameters,
    NotFound,
)
from cartrita.journal import Stories, TaskRecord, TaskState, fold
from cartrita.protocol.principal import Principal
from cartrita.spill import plainly
from cartrita.storage.runtime import Quarantine, QuarantinedTask
from cartrita.story import narrate, to_wire

Rows = list[dict[str, Any]]


class QuarantineDesk:
    """Where quarantined tasks are looked at and decided about. Lives beside the door.

    A retry is submitted first and settled when it is accepted, under an id that follows from
    the old task: whoever tries it twice, after a crash or at the same time, gets one task, and
    until there is that task the old one waits.

    Args:
        stories: Reads tasks back.
        quarantine: What waits, and what was decided.
        resubmit: The door's way in for a task that is made already.
    """

    def __init__(
        self, stories: Stories, quarantine: Quarantine, resubmit: Resubmit, clock: Clock
    ) -> None:
        self._stories, self._quarantine = stories, quarantine
        self._resubmit, self._clock = resubmit, clock

    async def inspect(self, task_id: str, who: Principal) -> dict[str, Any]:
        """Return all that is known of a quarantined task, settled or not.

        Raises:
            NotFound: It is not in quarantine, or somebody else's.
        """
        task = await self._find(task_id, who)
        story = await self._stories.story(task.task_id)
        state = _folded(task, fold(story))
        told = [to_wire(task.task_id, entry, iso(entry.at)) for entry in narrate(story)]
        return {
            **_row(task),
            "parameters": state.record.params,
            "delivery": state.record.delivery.value,
            "attempts": state.attempts,
            "response": state.response,
            "story": told,
        }

    async def retry(
        self, task_id: str, who: Principal, parameters: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Try a quarantined task again, as a new task of the same principal.

        Args:
            task_id: The quarantined task.
            who: Who asks.
            parameters: In place of the old ones.

        Returns:
            `{"taskId", "status", "retryOf"}`.

        Raises:
            NotFound: It is not in quarantine, or somebody else's.
            InvalidParameters: It was settled before, or does not take these parameters.
            CartritaError: The new task was not accepted; the old one still waits.
        """
        task = await self._find(task_id, who)
        if task.settled:
            raise _settled(task)
        state = _folded(task, fold(await self._stories.story(task.task_id)))
        new = again(_changed(state.record, parameters), self._clock.now())
        try:
            answer = await self._resubmit(new)
        except IdempotencyMismatch:
            if not await self._stories.story(new.task_id):
                raise  # the one that came first is not accepted yet, and may never be
            await self._settle(task, new, who)
            raise _settled(replace(task, settled="retried", retried_as=new.task_id)) from None
        # False is no news: a twin of this call settled it, or it was discarded in between.
        await self._settle(task, new, who)
        return {
            "taskId": answer["taskId"],
            "status": answer["status"],
            "retryOf": task.task_id,
        }

    async def _settle(self, task: QuarantinedTask, new: TaskRecord, who: Principal) -> bool:
        return await self._quarantine.settle(task.task_id, "retried", who.user, new.task_id)

    async def discard(self, task_id: str, who: Principal) -> bool:
        """Decide that a task is not to be tried again; False when it was settled before.

        Raises:
            NotFound: It is not in quarantine, or somebody else's.
        """
        task = await self._find(task_id, who)
        return await self._quarantine.settle(task.task_id, "discarded", who.user)

    async def _find(self, task_id: str, who: Principal) -> QuarantinedTask:
        task = await self._quarantine.find(task_id)
        if task is None or not who.sees(task.user, task.task_type):
            raise NotFound(f"There is no task {task_id!r} of yours in quarantine.")
        return task

    async def list(self, who: Principal, limit: int = 50, before: str | None = None) -> Rows:
        """Return what waits for a decision, newest first: one's own, or for admins all.

        Args:
            who: Who asks.
            limit: How many at most.
            before: The last task id of the page before.
        """
        if before is not None and not _is_id(before):
            raise InvalidParameters(
                f"{before!r} is no task id.", fields=[("before", "is not a task id")]
            )
        user = None if who.admin else who.user
        return [_row(task) for task in await self._quarantine.waiting(user, limit, before)]


def _changed(record: TaskRecord, parameters: dict[str, Any] | None) -> TaskRecord:
    """Return a record with other parameters, if there are any."""
    if parameters is None:
        return record
    return replace(record, params=parameters, digest=_digest(record.task_type, parameters))


def _digest(task_type: str, params: dict[str, Any]) -> bytes:
    """Return what tells a repeat from another task, as the door does."""
    return hashlib.blake2b(pack([task_type, plainly(params)]), digest_size=16).digest()


def _folded(task: QuarantinedTask, state: TaskState | None) -> TaskState:
    if state is None:
        raise InternalFailure(f"Task {task.task_id!r} is in quarantine and has no story.")
    return state


def _settled(task: QuarantinedTask) -> InvalidParameters:
    what = f"retried already, as {task.retried_as!r}" if task.retried_as else "discarded"
    return InvalidParameters(
        f"Task {task.task_id!r} was {what}.", fields=[("taskId", f"was {what}")]
    )


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _row(task: QuarantinedTask) -> dict[str, Any]:
    return {
        "taskId": task.task_id,
        "taskType": task.task_type,
        "user": task.user,
        "tenant": task.tenant,
        "shard": task.shard,
        "acceptedAt": iso(task.accepted_at),
        "endedAt": iso(task.ended_at),
        "settled": task.settled,
        "retriedAs": task.retried_as,
    }
