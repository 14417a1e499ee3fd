"""No attempt outlives its task's deadline."""

import asyncio
from typing import Any

from cartrita.errors import TaskTimeout
from cartrita.policy.chain import Job, Proceed


class Deadline:
    """Cancels the work when the time is up."""

    async def __call__(self, job: Job, proceed: Proceed) -> Any:
        """Run the rest with what time is left."""
        left = job.context.remaining()
        try:
            async with asyncio.timeout(left) as limit:
                return await proceed(job)
        except TimeoutError:
            if not limit.expired():
                raise  # the agent's own time-out, not ours
            raise TaskTimeout(f"{job.spec.name!r} did not end before its deadline.") from None
