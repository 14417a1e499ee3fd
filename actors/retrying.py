"""How a task that did not complete is tried again, as a new one."""

from typing import Any

from actors.intake import Resubmit, again, within
from actors.past import looked_up
from cartrita.clock import Clock, derived_id
from cartrita.errors import (
    AuthorizationFailed,
    NothingToRetry,
    Reason,
    StillRunning,
)
from cartrita.journal import Stories, TaskState, fold
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskStatus


class RetryDesk:
    """Where owners have their tasks tried again. Lives beside the door.

    The new task has an id that follows from the old one's: whoever asks twice, after a crash or
    at the same time, gets one task. It shares the old one's effects, approvals and checkpoints,
    so what was done is not done again, and what is unknown stays so until somebody decides.

    Args:
        stories: Reads tasks back.
        resubmit: The door's way in for a task that is made already.
    """

    def __init__(self, stories: Stories, resubmit: Resubmit, clock: Clock) -> None:
        self._stories, self._resubmit, self._clock = stories, resubmit, clock

    async def retry(self, task_id: str, who: Principal) -> dict[str, Any]:
        """Try a task again with the same parameters, at the expense of who asks: its owner.

        Returns:
            `{"taskId", "status", "retryOf"}`, the same however often it is asked for.

        Raises:
            NotFound: There is no such task, it is somebody else's, or it was forgotten.
            AuthorizationFailed: An administrator asks, who may see it but not spend for its owner.
            StillRunning: It has not ended.
            NothingToRetry: It completed, or waits in quarantine.
            CartritaError: The new task was not accepted; it can be asked for again.
        """
        _, state = await looked_up(self._stories, task_id, who, "story")
        if state.record.principal.user != who.user:
            raise AuthorizationFailed("Only a task's owner has it tried again, and pays for it.")
        told = {"retryOf": task_id}
        known = fold(await self._stories.story(derived_id(task_id, "retry")))
        if known:
            return {"taskId": known.record.task_id, "status": known.status.value, **told}
        _check(state)
        owner = within(state.record.principal.tenant, who)
        answer = await self._resubmit(again(state.record, self._clock.now(), owner))
        return {"taskId": answer["taskId"], "status": answer["status"], **told}


def _check(state: TaskState) -> None:
    """Refuse what is not to be tried again."""
    task_id = state.record.task_id
    if state.response is None:
        raise StillRunning(f"Task {task_id!r} has not ended; cancel it first.", retry_after=1)
    if state.status is TaskStatus.COMPLETED:
        raise NothingToRetry(
            f"Task {task_id!r} completed: there is nothing to try again.",
            fields=[("taskId", "has completed")],
        )
    if state.response.get("reason") == Reason.QUARANTINED:
        raise NothingToRetry(
            f"Task {task_id!r} kills whatever runs it: see /v3/quarantine/{task_id}.",
            fields=[("taskId", "is quarantined")],
        )
