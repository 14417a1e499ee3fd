"""Keeps questions to people in PostgreSQL."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from cartrita.approvals import Approval, Verdict
from cartrita.storage.postgres.runtime import Tables

_SEEN = "SELECT a.*, approval_stands(a) AS stands FROM approvals a"
_ASK = """
INSERT INTO approvals
    (id, task_id, task_type, user_id, tenant, tool, input, asked_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE
SET task_id = excluded.task_id, asked_at = excluded.asked_at, expires_at = excluded.expires_at
WHERE approvals.verdict = 'pending' AND approvals.task_id <> excluded.task_id
"""
_STANDING = f"{_SEEN} WHERE a.id = ANY($1)"
# Of those that nobody decided about each is looked at; the index holds no others.
_UNDECIDED = f"""{_SEEN}
WHERE a.verdict = 'pending' AND approval_stands(a) = $2 AND ($2 = 'expired' OR a.expires_at > now())
    AND ($1::text IS NULL OR a.user_id = $1) AND ($4::uuid IS NULL OR a.id < $4)
ORDER BY a.id DESC LIMIT $3
"""
_DECIDED = f"""{_SEEN}
WHERE a.verdict = $2 AND ($1::text IS NULL OR a.user_id = $1) AND ($4::uuid IS NULL OR a.id < $4)
ORDER BY a.id DESC LIMIT $3
"""
_DECIDE = """
UPDATE approvals a SET verdict = $2, decided_by = $3, reason = $4, decided_at = now()
WHERE a.id = $1 AND approval_stands(a) = 'pending' RETURNING true
"""


class PostgresApprovals(Tables):
    """Questions, for those who ask and for those who answer."""

    async def ask(self, question: Approval) -> Approval:
        """Keep a question, unless it stands there; one that waits goes over to a task's retry."""
        key = UUID(question.id)
        async with self._connection() as connection:
            await connection.execute(
                _ASK,
                key,
                UUID(question.task_id),
                question.task_type,
                question.user,
                question.tenant,
                question.tool,
                json.dumps(question.input),
                datetime.fromtimestamp(question.asked_at, UTC),
                datetime.fromtimestamp(question.expires_at, UTC),
            )
            (row,) = await connection.fetch(_STANDING, [key])
        return _row(row)

    async def standing(self, ids: Sequence[str]) -> list[Approval]:
        """Return questions by their ids."""
        async with self._connection() as connection:
            rows = await connection.fetch(_STANDING, [UUID(one) for one in ids])
        return [_row(row) for row in rows]

    async def page(
        self, user: str | None, verdict: Verdict, limit: int, before: str | None
    ) -> list[Approval]:
        """Return questions, those of the newest tasks first."""
        query = _UNDECIDED if verdict in (Verdict.PENDING, Verdict.EXPIRED) else _DECIDED
        below = UUID(before) if before else None
        async with self._connection() as connection:
            rows = await connection.fetch(query, user, verdict.value, limit, below)
        return [_row(row) for row in rows]

    async def find(self, approval: str) -> Approval | None:
        """Return a question."""
        return next(iter(await self.standing([approval])), None)

    async def decide(self, approval: str, verdict: Verdict, by: str, reason: str) -> bool:
        """Decide about one that is pending."""
        async with self._connection() as connection:
            return bool(
                await connection.fetchval(_DECIDE, UUID(approval), verdict.value, by, reason)
            )


def _row(row: asyncpg.Record) -> Approval:
    return Approval(
        str(row["id"]),
        str(row["task_id"]),
        row["task_type"],
        row["user_id"],
        row["tenant"],
        row["tool"],
        json.loads(row["input"]),
        row["asked_at"].timestamp(),
        row["expires_at"].timestamp(),
        Verdict(row["stands"]),
        row["decided_by"],
        row["decided_at"].timestamp() if row["decided_at"] else None,
        row["reason"],
    )
