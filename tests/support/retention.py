"""What the tests of retention share: how long is kept what, and how time passes."""

import asyncio

import pytest

from cartrita.clock import ManualClock, SystemClock
from cartrita.storage.runtime import Keep

HOUR = 3600.0
KEEP = Keep(streams=24 * HOUR, events=48 * HOUR, tasks=96 * HOUR)

_BEHIND = """
SELECT count(*) FROM task_events e LEFT JOIN tasks t ON t.id = e.task_id
WHERE (e.step = 0 AND t.id IS NULL) OR (e.kind >= 16 AND t.finished_at IS NULL)
"""


class Forgetting:
    """Fixtures `clock`, which stands where the test puts it, and `forget`.

    Needs `retention`, and `folded`: awaiting it waits until the table of tasks follows.
    """

    @pytest.fixture
    def clock(self):
        return ManualClock(SystemClock().now())

    @pytest.fixture
    def forget(self, retention, clock, folded):
        """Give a function that forgets all that is due after so many hours."""

        async def after(hours):
            await folded()
            clock.advance(hours * HOUR)
            count = 0
            while some := await retention.forget(KEEP):
                count += some
            return count

        return after


class FoldedInPostgres:
    """Fixture `folded`: looks until the table of tasks has every end that there is."""

    @pytest.fixture
    def folded(self, sql):
        async def wait():
            async with asyncio.timeout(5):
                while True:
                    if not await sql.fetchval(_BEHIND):
                        return
                    await asyncio.sleep(0.02)

        return wait
