"""Tests of cartrita/telemetry/tally.py."""

from cartrita.clock import new_id
from cartrita.telemetry.metrics import (
    CACHE_LOOKUPS,
    TASK_DURATION,
    TASKS_COMPLETED,
    TASKS_FAILED,
)
from cartrita.telemetry.tally import tally


def test_only_the_task_types_that_are_asked_for_count():
    mine, other = f"tally.{new_id()}", f"tally.{new_id()}"
    TASKS_COMPLETED.labels(mine, "a").inc(3)
    TASKS_FAILED.labels(mine, "a", "AGENT_ERROR").inc()
    TASKS_COMPLETED.labels(other, "a").inc(9)
    TASK_DURATION.labels(mine, "a", "COMPLETED").observe(0.5)
    TASK_DURATION.labels(mine, "a", "FAILED").observe(1.5)
    CACHE_LOOKUPS.labels(mine, "memory").inc(2)
    CACHE_LOOKUPS.labels(mine, "missed").inc()
    found = tally(None, {mine}.__contains__)
    assert (found.completed, found.failed, found.ended) == (3, 1, 4)
    assert (found.success, found.mean_seconds) == (0.75, 0.5)
    assert (found.given, found.looked) == (2, 3)
    assert found.by_type == {mine: 4}


def test_before_the_first_task_nothing_is_known():
    found = tally(None, lambda _: False)
    assert (found.ended, found.success, found.mean_seconds) == (0, None, None)
