"""What people are asked before a task changes the outside world, and what they said."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from cartrita.clock import derived_id

LONGEST_REASON = 1_000
"""Characters of what somebody says about a decision."""


class Verdict(StrEnum):
    """Where an approval stands. `EXPIRED`: its task came to its deadline, or to another end."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Approval:
    """A question to people.

    Attributes:
        id: Every attempt at the same work asks the same question.
        input: What the tool would be given; plain JSON values.
        asked_at: Unix seconds.
        expires_at: When nobody waits for an answer any more, in Unix seconds.
        decided_by: Who decided.
        reason: What they said about it.
    """

    id: str
    task_id: str
    task_type: str
    user: str
    tenant: str
    tool: str
    input: Any
    asked_at: float
    expires_at: float
    verdict: Verdict = Verdict.PENDING
    decided_by: str | None = None
    decided_at: float | None = None
    reason: str = ""


def approval_id(root: str, tool: str, call: str) -> str:
    """Return the id of a question, which every attempt at the same work computes alike.

    Args:
        root: The task, or the first of those that try it again.
        tool: What is to be used.
        call: Tells this use from others in the same task.
    """
    return derived_id(root, f"approval/{tool}/{call}")


class Approvals(Protocol):
    """Where questions are kept. Raises `ServiceUnavailable` where it cannot be reached."""

    async def ask(self, question: Approval) -> Approval:
        """Keep a question, unless it stands there; return what stands."""

    async def standing(self, ids: Sequence[str]) -> list[Approval]:
        """Return questions by their ids."""


class ApprovalBook(Protocol):
    """All questions, for people. Raises `ServiceUnavailable` where it cannot be reached."""

    async def page(
        self, user: str | None, verdict: Verdict, limit: int, before: str | None
    ) -> list[Approval]:
        """Return questions of a user's tasks, or of everybody's, those of the newest tasks first.

        Args:
            user: Whose.
            verdict: Where they stand.
            limit: How many at most.
            before: The last id of the page before.
        """

    async def find(self, approval: str) -> Approval | None:
        """Return a question."""

    async def decide(self, approval: str, verdict: Verdict, by: str, reason: str) -> bool:
        """Decide about one that is pending, once and for all; False when it is not."""
