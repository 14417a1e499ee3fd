"""Tasks beyond the quota are not admitted."""

import pytest

from cartrita.clock import ManualClock
from cartrita.errors import RateLimitExceeded
from cartrita.policy.chain import chain
from cartrita.policy.rate_limit import RateLimit
from cartrita.rate import Limiter, Quota


async def test_as_many_tasks_as_the_quota_has_get_through(job):
    done = []

    async def work(admitted):
        done.append(admitted)

    admit = chain([RateLimit(Limiter(ManualClock(), Quota("principal", 2, 60)))], work)
    first, second = job(), job("work.again")
    await admit(first)
    await admit(second)
    with pytest.raises(RateLimitExceeded):
        await admit(job())
    assert done == [first, second]
