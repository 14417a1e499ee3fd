"""Another try within the attempt, when the error says it makes sense."""

import asyncio
import random
from typing import Any

from cartrita.declare import TaskSpec
from cartrita.errors import NetworkFailed, TaskTimeout
from cartrita.policy.chain import Job, Proceed

TRIES = 3
FIRST_DELAY = 0.2
LONGEST_DELAY = 5.0


class Retry:
    """Repeats work that may run twice and failed on the network: 0.2, 0.4 s apart, ± 50 %.

    Not once it has said something or called another agent: readers would hear it twice, and a
    sub-task that failed has been tried again already.
    """

    def __init__(self, randomness: random.Random, first_delay: float = FIRST_DELAY) -> None:
        self._random, self._first = randomness, first_delay

    def concerns(self, spec: TaskSpec) -> bool:
        """Only idempotent work is repeated."""
        return spec.idempotent

    async def __call__(self, job: Job, proceed: Proceed) -> Any:
        """Run the rest, up to `TRIES` times."""
        for attempt in range(TRIES):
            try:
                return await proceed(job)
            except NetworkFailed as error:
                delay = error.retry_after or backoff(
                    self._random, attempt, self._first, LONGEST_DELAY
                )
                last = attempt + 1 == TRIES or not (job.spec.idempotent and job.context.repeatable)
                if last or job.context.used or job.context.remaining() < delay:
                    raise
            job.context.measure("retries", attempt + 1)
            await asyncio.sleep(delay)
        raise TaskTimeout("unreachable: the loop returns or raises")


def backoff(randomness: random.Random, failures: int, first: float, longest: float) -> float:
    """Return the seconds to pause after a failure: twice as long each time, ± 50 %.

    Args:
        randomness: So that those who failed together do not come again together.
        failures: How many there were before this one.
        first: Seconds after the first.
        longest: Seconds that no pause is longer than, on average.
    """
    return min(first * 2.0**failures, longest) * randomness.uniform(0.5, 1.5)
