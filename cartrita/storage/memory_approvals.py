"""Keeps questions to people in this process, for tests and trying out."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from cartrita.approvals import Approval, Verdict
from cartrita.clock import Clock, SystemClock
from cartrita.storage.memory_journal import JournalTables


class InMemoryApprovals:
    """Questions, for those who ask and for those who answer.

    Args:
        tables: The journal, which knows the tasks that ended.
    """

    def __init__(self, tables: JournalTables | None = None, clock: Clock | None = None) -> None:
        self._tables, self._clock = tables or JournalTables(), clock or SystemClock()
        self._kept: dict[str, Approval] = {}

    async def ask(self, question: Approval) -> Approval:
        """Keep a question, unless it stands there; one that waits goes over to a task's retry."""
        known = self._kept.setdefault(question.id, question)
        if known.verdict is Verdict.PENDING and known.task_id != question.task_id:
            known = self._kept[question.id] = question
        return self._seen(known)

    async def standing(self, ids: Sequence[str]) -> list[Approval]:
        """Return questions by their ids."""
        return [self._seen(self._kept[one]) for one in ids if one in self._kept]

    async def page(
        self, user: str | None, verdict: Verdict, limit: int, before: str | None
    ) -> list[Approval]:
        """Return questions, those of the newest tasks first."""
        below = str(UUID(before)) if before else None
        found = [
            row
            for row in map(self._seen, self._kept.values())
            if row.verdict is verdict
            and user in (None, row.user)
            and (below is None or row.id < below)
        ]
        return sorted(found, key=lambda row: row.id, reverse=True)[:limit]

    async def find(self, approval: str) -> Approval | None:
        """Return a question."""
        found = self._kept.get(approval)
        return self._seen(found) if found else None

    async def decide(self, approval: str, verdict: Verdict, by: str, reason: str) -> bool:
        """Decide about one that is pending."""
        found = await self.find(approval)
        if found is None or found.verdict is not Verdict.PENDING:
            return False
        now = self._clock.now()
        self._kept[approval] = replace(
            found, verdict=verdict, decided_by=by, decided_at=now, reason=reason
        )
        return True

    def _seen(self, row: Approval) -> Approval:
        """Return a question; one that nobody waits for any more is over."""
        story = self._tables.stories.get(row.task_id, ())
        over = self._clock.now() >= row.expires_at or any(event.kind.terminal for event in story)
        if row.verdict is Verdict.PENDING and over:
            return replace(row, verdict=Verdict.EXPIRED)
        return row
