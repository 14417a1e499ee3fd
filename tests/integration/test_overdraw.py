"""500 at once against a budget that fits 37, while their hosts are killed."""

import pytest

from tests.support.overdraw import overdraw

pytestmark = [pytest.mark.database, pytest.mark.chaos]


@pytest.mark.parametrize("seed", range(1, 6))
async def test_no_budget_is_overdrawn_and_all_of_it_is_settled_exactly(database_url, seed):
    toll = await overdraw(database_url, seed)
    assert toll.killed > 0
    assert len(toll.samples) > 20
