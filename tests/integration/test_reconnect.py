"""A reader that drops at random and hops between transports and gateways sees one log."""

import pytest

from tests.support.hopping import run


@pytest.mark.parametrize("seed", range(1, 6))
async def test_no_event_is_missed_or_repeated(seed):
    assert await run(seed) > 5
