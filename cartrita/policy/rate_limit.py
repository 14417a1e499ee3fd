"""Nobody takes more than their share of the door."""

from typing import Any

from cartrita.policy.chain import Job, Proceed
from cartrita.rate import Limiter


class RateLimit:
    """Counts a task against its principal's quota, by whatever door it came."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    async def __call__(self, job: Job, proceed: Proceed) -> Any:
        """Refuse what is beyond the quota."""
        await self._limiter.take(job.context.principal.user)
        return await proceed(job)
