"""More of what the gateway's routes ask of the tree."""

from typing import Any, Protocol

from cartrita.protocol.principal import Principal


class Retries(Protocol):
    """Has tasks that did not complete tried again."""

    async def retry(self, task_id: str, who: Principal) -> dict[str, Any]:
        """Run one as a new task of its owner's, once; return that one's id and status."""


class KeptAnswers(Protocol):
    """Answers that may be given again."""

    async def erase(self, owner: str, who: Principal) -> dict[str, Any]:
        """Delete those of `user:…` or `tenant:…`; tell how many, and when all are gone."""
