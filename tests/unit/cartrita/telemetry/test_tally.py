"""Tests of cartrita/telemetry/tally.py."""

from cartrita.clock import new_id
from cartrita.telemetry.metrics import (
    CACHE_LOOKUPS,
    TASK_DURATION,
    TASKS_COMPLETED,
    TASKS_FAILED,
)
from cartrita.telemetry.tally import Tally, tally, together


def test_tasks_are_counted_by_their_type():
    mine, other = f"tally.{new_id()}", f"tally.{new_id()}"
    TASKS_COMPLETED.labels(mine, "a").inc(3)
    TASKS_FAILED.labels(mine, "a", "AGENT_ERROR").inc()
    TASKS_COMPLETED.labels(other, "a").inc(9)
    TASK_DURATION.labels(mine, "a", "COMPLETED").observe(0.5)
    TASK_DURATION.labels(mine, "a", "FAILED").observe(1.5)
    CACHE_LOOKUPS.labels(mine, "memory").inc(2)
    CACHE_LOOKUPS.labels(mine, "missed").inc()
    found = tally(None)
    assert (found[mine].completed, found[mine].failed, found[mine].ended) == (3, 1, 4)
    assert (found[mine].success, found[mine].mean_seconds) == (0.75, 0.5)
    assert (found[mine].given, found[mine].looked) == (2, 3)
    both = together([found[mine], found[other]])
    assert (both.completed, both.failed, both.looked) == (12, 1, 3)


def test_before_the_first_task_nothing_is_known():
    assert (Tally().ended, Tally().success, Tally().mean_seconds) == (0, None, None)
