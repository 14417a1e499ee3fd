"""Lists tasks from the table `tasks`."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from cartrita.protocol.task import TaskStatus
from cartrita.storage.listing import ListedTask, Place, Wanted, moment
from cartrita.storage.postgres.outage import lend

_COLUMNS = """id, task_type, status, priority, user_id, tenant, accepted_at, finished_at,
    session_id, error_code, reason, nano_usd, tokens, parent, retry_of"""
_NANO = 10**9


class PostgresTasks:
    """The table of tasks.

    Args:
        pool: Connections to the migrated database.
        timeout: Seconds one page may take, waiting for a connection included.
    """

    def __init__(self, pool: asyncpg.Pool, timeout: float = 5.0) -> None:
        self._pool, self._timeout = pool, timeout

    async def page(self, wanted: Wanted, limit: int, after: Place | None) -> list[ListedTask]:
        """Return tasks, the last accepted first."""
        statement, values = query(wanted, limit, after)
        async with lend(self._pool, self._timeout, "The list of tasks") as connection:
            rows = await connection.fetch(statement, *values)
        return [_task(row) for row in rows]


def query(wanted: Wanted, limit: int, after: Place | None) -> tuple[str, list[Any]]:
    """Return the statement for a page, and its values.

    What is not asked is not in it, so that the planner sees which index fits.
    """
    asked: list[tuple[str, Any]] = [
        ("user_id = {}", wanted.user),
        ("session_id = {}", wanted.session),
        ("task_type = {}", wanted.task_type),
        ("status = ANY ({}::text[])", _names(wanted.statuses)),
        ("accepted_at >= {}", moment(wanted.since) if wanted.since is not None else None),
        ("accepted_at < {}", moment(wanted.until) if wanted.until is not None else None),
    ]
    values: list[Any] = [value for _, value in asked if value is not None]
    tests = [test for test, value in asked if value is not None]
    conditions = [test.format(f"${place}") for place, test in enumerate(tests, 1)]
    if after is not None:
        values += [after.accepted_at, UUID(after.task_id)]
        conditions.append(f"(accepted_at, id) < (${len(values) - 1}, ${len(values)})")
    values.append(limit)
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    # Every part is a text of ours; what users said is in the values.
    order = f"ORDER BY accepted_at DESC, id DESC LIMIT ${len(values)}"
    return f"SELECT {_COLUMNS} FROM tasks {where}{order}", values  # noqa: S608


def _names(statuses: frozenset[TaskStatus] | None) -> list[str] | None:
    return None if statuses is None else sorted(status.value for status in statuses)


def _task(row: asyncpg.Record) -> ListedTask:
    accepted: datetime = row["accepted_at"]
    return ListedTask(
        str(row["id"]),
        row["task_type"],
        TaskStatus(row["status"]),
        row["priority"],
        row["user_id"],
        row["tenant"],
        accepted,
        row["finished_at"],
        row["session_id"],
        row["error_code"],
        row["reason"],
        row["nano_usd"] / _NANO,
        row["tokens"],
        _text(row["parent"]),
        _text(row["retry_of"]),
    )


def _text(task_id: UUID | None) -> str | None:
    return None if task_id is None else str(task_id)
