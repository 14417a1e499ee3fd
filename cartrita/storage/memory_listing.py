"""Lists the tasks of a journal in memory."""

from collections.abc import Iterator

from cartrita.journal import Event, Settlement, fold
from cartrita.storage.listing import ListedTask, Place, Wanted, moment
from cartrita.storage.memory_journal import JournalTables

_NANO = 10**9


class InMemoryTasks:
    """The table of tasks, folded from their stories at every look."""

    def __init__(self, tables: JournalTables) -> None:
        self._tables = tables

    async def page(self, wanted: Wanted, limit: int, after: Place | None) -> list[ListedTask]:
        """Return tasks, the last accepted first."""
        found = sorted(self._all(), key=lambda task: task.place, reverse=True)
        behind = (task for task in found if after is None or task.place < after)
        fitting = (task for task in behind if _fits(task, wanted))
        return [task for task, _ in zip(fitting, range(limit), strict=False)]

    def _all(self) -> Iterator[ListedTask]:
        for events in self._tables.stories.values():
            task = _row(sorted(events, key=lambda event: event.step))
            if task:
                yield task


def _row(story: list[Event]) -> ListedTask | None:
    state = fold(story)
    if state is None:
        return None
    record, told, used = state.record, state.response or {}, Settlement()
    if state.response:
        used = Settlement.of(state.response)
    return ListedTask(
        record.task_id,
        record.task_type,
        state.status,
        record.priority,
        record.principal.user,
        record.principal.tenant,
        moment(record.accepted_at),
        moment(story[-1].at) if state.status.terminal else None,
        record.session_id,
        told.get("errorCode"),
        told.get("reason"),
        used.nano_usd / _NANO,
        used.tokens,
        record.parent,
        record.retry_of,
    )


def _fits(task: ListedTask, wanted: Wanted) -> bool:
    asked = ((wanted.user, task.user), (wanted.task_type, task.task_type))
    return (
        all(want is None or want == have for want, have in (*asked, (wanted.session, task.session)))
        and (wanted.statuses is None or task.status in wanted.statuses)
        and (wanted.since is None or task.accepted_at >= moment(wanted.since))
        and (wanted.until is None or task.accepted_at < moment(wanted.until))
    )
