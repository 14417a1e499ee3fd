"""What a shard counts of its messages and its budgets."""

import pytest

from actors.counting import Traffic
from cartrita.clock import SystemClock
from cartrita.errors import AgentUnavailable, NetworkFailed, NotFound, QueueFull
from cartrita.journal import Verdict
from cartrita.telemetry.metrics import REGISTRY


def count(name, **labels):
    return REGISTRY.get_sample_value(f"cartrita_mcp_{name}", labels) or 0.0


@pytest.fixture
def traffic():
    return Traffic("counting/0", SystemClock())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (QueueFull("full"), "queue_full"),
        (AgentUnavailable("down"), "no_handler"),
        (NotFound("nobody"), "no_handler"),
    ],
)
def test_a_request_that_no_task_was_made_of_says_why(traffic, error, reason):
    before = count("messages_dropped_total", reason=reason)
    traffic.failed(error)
    assert count("messages_dropped_total", reason=reason) == before + 1


def test_another_error_is_counted_and_drops_nothing(traffic):
    kind = {"message_type": "TASK_REQUEST", "error_type": "NETWORK_ERROR"}
    dropped = [count("messages_dropped_total", reason=r) for r in ("queue_full", "no_handler")]
    before = count("message_errors_total", **kind)
    traffic.failed(NetworkFailed("gone"))
    assert count("message_errors_total", **kind) == before + 1
    assert dropped == [
        count("messages_dropped_total", reason=r) for r in ("queue_full", "no_handler")
    ]


def test_a_budget_s_refusal_names_its_kind_and_nobody(traffic):
    before = count("budget_refusals_total", kind="user")
    traffic.decided(Verdict("budget", "task", "user:ada"))
    assert count("budget_refusals_total", kind="user") == before + 1


def test_a_task_that_is_known_is_a_duplicate(traffic):
    before = count("messages_dropped_total", reason="duplicate")
    traffic.decided(Verdict("known", "task"))
    assert count("messages_dropped_total", reason="duplicate") == before + 1


@pytest.mark.parametrize(("pressure", "level"), [(0.69, None), (0.7, "warning"), (0.9, "critical")])
def test_a_tight_budget_is_counted_by_how_tight_it_is(traffic, pressure, level):
    levels = ("warning", "critical")
    before = {one: count("budget_tight_total", level=one) for one in levels}
    traffic.decided(Verdict("accepted", "task", pressure=pressure))
    grown = {one: count("budget_tight_total", level=one) - before[one] for one in levels}
    assert grown == {one: float(one == level) for one in levels}


def test_what_should_never_happen_begins_at_zero(traffic):
    for kind in ("user", "tenant", "task"):
        found = REGISTRY.get_sample_value("cartrita_mcp_budget_refusals_total", {"kind": kind})
        assert found is not None


def test_the_load_is_what_was_told_last(traffic):
    traffic.load(3, 1000, 2, 50)
    told = [count(name, shard="counting/0") for name in (
        "message_queue_depth", "message_queue_bound", "supervisor_running_tasks",
        "supervisor_capacity")]  # fmt: skip
    assert told == [3, 1000, 2, 50]
