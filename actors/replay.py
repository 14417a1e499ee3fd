"""Tells a task's whole story to whoever may hear it."""

from typing import Any

from cartrita.clock import iso
from cartrita.errors import NotFound
from cartrita.journal import Stories, fold
from cartrita.ledger import EffectBook
from cartrita.protocol.principal import Principal
from cartrita.replay import Beside, retell
from cartrita.story import step_of

MOST_RELATIVES = 1000
"""Sub-tasks, and theirs, that a story tells of."""


class Storyteller:
    """Rebuilds stories from the journal. Lives beside the door, and needs nobody else to be up.

    Args:
        stories: Reads tasks back.
        effects: What tasks did to the outside world.
    """

    def __init__(self, stories: Stories, effects: EffectBook) -> None:
        self._stories, self._effects = stories, effects

    async def story(self, task_id: str, who: Principal, until: str | None = None) -> dict[str, Any]:
        """Return all that the journal knows of a task.

        Args:
            task_id: Whose story.
            who: Must be the task's owner, or an administrator.
            until: A cursor: how the task stood when that had been told, and nothing later.

        Raises:
            NotFound: There is no such task, or it is somebody else's.
            InvalidParameters: That is no cursor.
        """
        story = await self._stories.story(task_id)
        state = fold(story)
        if state is None:
            raise await self._forgotten(task_id, who)
        if not who.sees(state.record.principal.user, state.record.task_type):
            raise _nobodys(task_id)
        step = None if until is None else step_of(until, "until")
        family = await self._stories.family(task_id, MOST_RELATIVES)
        effects = await self._effects.of_work(state.record.root or task_id)
        return retell(story, Beside(family, len(family) == MOST_RELATIVES, effects), step)

    async def _forgotten(self, task_id: str, who: Principal) -> NotFound:
        """Return what is said of a task that has no events, or none any more."""
        left = await self._stories.remnant(task_id)
        if left is None or not who.sees(left.user, left.task_type):
            return _nobodys(task_id)
        return NotFound(
            f"The story of task {task_id!r} was forgotten: it ended {left.status.value} at "
            f"{iso(left.finished_at)}. See the setting 'retention.events_days'."
        )


def _nobodys(task_id: str) -> NotFound:
    return NotFound(f"There is no task {task_id!r} of yours.")
