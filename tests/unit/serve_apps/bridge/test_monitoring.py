"""Figures of tasks, in v2's shape."""

from datetime import UTC, datetime, timedelta

from cartrita.protocol.task import TaskStatus
from cartrita.storage.listing import ListedTask
from serve_apps.bridge.services.monitoring import figures

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def took(milliseconds):
    ended = THEN + timedelta(milliseconds=milliseconds)
    return ListedTask("t", "system.echo", TaskStatus.COMPLETED, 5, "u", "u", THEN, ended)


def test_of_few_tasks_the_slowest_is_the_95th_percentile():
    told = figures([took(10), took(250), took(20)], 86_400)
    assert told["p95_latency_ms"] == 250
    assert figures([took(number) for number in range(1, 101)], 1)["p95_latency_ms"] == 95
    assert figures([], 1)["p95_latency_ms"] is None
