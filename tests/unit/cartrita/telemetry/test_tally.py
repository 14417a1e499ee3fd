"""Tests of cartrita/telemetry/tally.py."""

from cartrita.clock import new_id
from cartrita.telemetry.metrics import (
    CACHE_LOOKUPS,
    COST_INCURRED,
    TASK_DURATION,
    TASKS_COMPLETED,
    TASKS_FAILED,
    TOKENS_USED,
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
    CACHE_LOOKUPS.labels(mine, "elsewhere").inc()
    CACHE_LOOKUPS.labels(mine, "missed").inc()
    CACHE_LOOKUPS.labels(mine, "refreshed").inc()
    TOKENS_USED.labels("a model", mine).inc(7)
    COST_INCURRED.labels("a model", mine).inc(0.25)
    found = tally(None)
    assert (found[mine].completed, found[mine].failed, found[mine].ended) == (3, 1, 4)
    assert (found[mine].success, found[mine].mean_seconds) == (0.75, 0.5)
    assert (found[mine].given, found[mine].missed) == (3, 1)
    assert (found[mine].tokens, found[mine].usd) == (7, 0.25)
    both = together([found[mine], found[other]])
    assert (both.completed, both.failed, both.seconds) == (12, 1, 2.0)


def test_before_the_first_task_nothing_is_known():
    assert (Tally().ended, Tally().success, Tally().mean_seconds) == (0, None, None)
