"""What people may do about tools that wait for approval: look, and decide."""

from typing import Any, Literal

from cartrita.approvals import Approval, ApprovalBook, Verdict
from cartrita.clock import Clock, iso
from cartrita.errors import AlreadyDecided, NotFound
from cartrita.protocol.principal import Principal
from cartrita.storage.runtime import Audit, AuditEntry

Decision = Literal["approve", "deny"]

VERDICTS: dict[str, Verdict] = {"approve": Verdict.APPROVED, "deny": Verdict.DENIED}

DECIDE = "DECIDE_APPROVAL"
"""What the audit log calls a decision."""


class ApprovalDesk:
    """Where questions of tasks are looked at and decided about. Lives beside the door.

    Args:
        book: The questions.
        audit: Where each decision is noted, a refused one included.
    """

    def __init__(self, book: ApprovalBook, audit: Audit, clock: Clock) -> None:
        self._book, self._audit, self._clock = book, audit, clock

    async def list(
        self,
        who: Principal,
        state: str = Verdict.PENDING,
        limit: int = 50,
        before: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return questions, those of the newest tasks first: of one's own tasks, or for admins all.

        Args:
            who: Who asks.
            state: `pending`, `approved`, `denied` or `expired`.
            limit: How many at most.
            before: The last id of the page before.
        """
        user = None if who.admin else who.user
        return [_row(row) for row in await self._book.page(user, Verdict(state), limit, before)]

    async def decide(
        self, approval: str, who: Principal, decision: Decision, reason: str = ""
    ) -> dict[str, Any]:
        """Decide about a question, once and for all, and return it as it stands then.

        Args:
            approval: Its id.
            who: Who decides: the task's owner, or an administrator.
            decision: Whether the tool may be used.
            reason: What the task, and whoever looks later, is told about it.

        Raises:
            NotFound: There is none, or it is of somebody else's task.
            AlreadyDecided: It was decided, or its task has ended.
        """
        await self._find(approval, who)
        done = await self._book.decide(approval, VERDICTS[decision], who.user, reason)
        row = await self._find(approval, who)
        told = decision if done else f"refused: {row.verdict} before"
        detail = {"taskId": row.task_id, "tool": row.tool}
        entry = AuditEntry(self._clock.now(), who.user, DECIDE, approval, told, detail)
        await self._audit.note(entry)
        if not done:
            why = f"is {row.verdict} already" + (f", by {row.decided_by}" if row.decided_by else "")
            raise AlreadyDecided(f"The approval {row.id!r} {why}.", fields=[("approvalId", why)])
        return _row(row)

    async def _find(self, approval: str, who: Principal) -> Approval:
        row = await self._book.find(approval)
        if row is None or not who.sees(row.user, row.task_type):
            raise NotFound(f"There is no approval {approval!r} of yours.")
        return row


def _row(row: Approval) -> dict[str, Any]:
    return {
        "approvalId": row.id,
        "taskId": row.task_id,
        "taskType": row.task_type,
        "user": row.user,
        "tenant": row.tenant,
        "tool": row.tool,
        "input": row.input,
        "state": row.verdict.value,
        "askedAt": iso(row.asked_at),
        "expiresAt": iso(row.expires_at),
        "decidedBy": row.decided_by,
        "decidedAt": None if row.decided_at is None else iso(row.decided_at),
        "reason": row.reason,
    }
