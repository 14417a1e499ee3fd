"""Looks up what became of a task, for whoever may see it."""

from cartrita.clock import iso
from cartrita.errors import NotFound
from cartrita.journal import Event, Stories, TaskState, fold
from cartrita.protocol.principal import Principal


async def looked_up(
    stories: Stories, task_id: str, who: Principal, what: str
) -> tuple[list[Event], TaskState]:
    """Return a task's story, and where it stands.

    Args:
        stories: Reads tasks back.
        task_id: Which.
        who: Must be its owner, or an administrator.
        what: Of it is looked for, for the message where that was forgotten.

    Raises:
        NotFound: There is no such task, it is somebody else's, or it has no events any more.
    """
    story = await stories.story(task_id)
    state = fold(story)
    if state is None:
        raise await _forgotten(stories, task_id, who, what)
    if not who.sees(state.record.principal.user, state.record.task_type):
        raise _nobodys(task_id)
    return story, state


async def _forgotten(stories: Stories, task_id: str, who: Principal, what: str) -> NotFound:
    """Return what is said of a task that has no events, or none any more."""
    left = await stories.remnant(task_id)
    if left is None or not who.sees(left.user, left.task_type):
        return _nobodys(task_id)
    return NotFound(
        f"The {what} of task {task_id!r} was forgotten: it ended {left.status.value} at "
        f"{iso(left.finished_at)}. See the setting 'retention.events_days'."
    )


def _nobodys(task_id: str) -> NotFound:
    return NotFound(f"There is no task {task_id!r} of yours.")
