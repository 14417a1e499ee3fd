"""Tells a task's whole story to whoever may hear it."""

from typing import Any

from actors.past import looked_up
from cartrita.journal import Stories
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
        story, state = await looked_up(self._stories, task_id, who, "story")
        step = None if until is None else step_of(until, "until")
        family = await self._stories.family(task_id, MOST_RELATIVES)
        effects = await self._effects.of_work(state.record.root or task_id)
        return retell(story, Beside(family, len(family) == MOST_RELATIVES, effects), step)
