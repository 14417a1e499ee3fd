"""What people may do about answers that are kept to be given again: have them erased."""

from typing import Any

from cartrita.answers import Answers
from cartrita.clock import Clock, iso
from cartrita.errors import AuthorizationFailed, ServiceUnavailable
from cartrita.protocol.principal import Principal
from cartrita.storage.runtime import Audit, AuditEntry

ERASE = "ERASE_ANSWERS"
"""What the audit log calls it."""


class AnswerDesk:
    """Where kept answers are erased, those by meaning too. Lives beside the door.

    Args:
        answers: What all hosts share.
        audit: Where each erasure is noted, one that failed half-way included.
        lasts: Seconds for which a host may go on to give what it has in its own memory.
    """

    def __init__(self, answers: Answers, audit: Audit, clock: Clock, lasts: float) -> None:
        self._answers, self._audit, self._clock, self._lasts = answers, audit, clock, lasts

    async def erase(self, owner: str, who: Principal) -> dict[str, Any]:
        """Delete what was answered to a user in every tenant, or in a tenant to everybody.

        Args:
            owner: `user:` or `tenant:` and its id.
            who: Must be that user, or an administrator.

        Returns:
            `erased` counts one answer once for each place it was kept in; after `goneBy` no host
            gives one from its own memory either.

        Raises:
            AuthorizationFailed: They are somebody else's.
            ServiceUnavailable: Something that may keep some cannot be reached; others may be
                gone already.
        """
        kind, _, name = owner.partition(":")
        if not who.admin and owner != f"user:{who.user}":
            raise AuthorizationFailed("Users may erase their own answers, administrators others'.")
        try:
            erased = await self._answers.forget(**{kind: name})
        except ServiceUnavailable as error:
            await self._note(owner, who, "failed", {"error": error.message})
            raise
        gone_by = iso(self._clock.now() + self._lasts)
        await self._note(owner, who, "done", {"erased": erased})
        return {"owner": owner, "erased": erased, "goneBy": gone_by}

    async def _note(self, owner: str, who: Principal, told: str, detail: dict[str, Any]) -> None:
        entry = AuditEntry(self._clock.now(), who.user, ERASE, owner, told, detail)
        await self._audit.note(entry)
