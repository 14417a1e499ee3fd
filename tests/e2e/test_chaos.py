"""Processes of a running instance die under load: nothing accepted is lost. In short form.

The long form is `make chaos`; its figures are in benchmarks/results.
"""

import asyncio

import pytest

from benchmarks.kills import SCENARIOS, cancel_races, kills
from tests.support.instance import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.ray,
    pytest.mark.chaos,
    pytest.mark.timeout(300),
]


@pytest.fixture
def token(instance):
    """Give a token of the administrator, and leave a healthy tree behind."""
    client = instance.login()
    yield client.headers["Authorization"].removeprefix("Bearer ")
    wait_until("the tree is ready", lambda: client.get("/readyz").is_success, 60)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_accepted_task_is_lost_whoever_dies(instance, token, scenario):
    pick, every = SCENARIOS[scenario]
    toll = asyncio.run(
        kills(instance.urls["api"], token, pick, tasks=700, every=min(every, 2.0), seed=7)
    )
    assert toll.kills >= 1
    assert (toll.lost, toll.failed) == ([], [])
    assert len(toll.latencies) == 700


def test_what_is_cancelled_as_it_starts_does_not_run_on(instance, token):
    found = asyncio.run(cancel_races(instance.urls["api"], token, tasks=300))
    assert found["still_running"] == 0
    assert found["cancelled"] == 300
