"""What a shard tells of its past, from which others make rates."""

import pytest

from actors.pace import BOUNDS, Pace
from cartrita.telemetry import metrics


def response(status="COMPLETED", usd=0.0, tokens=0):
    return {"status": status, "metrics": {"costUsd": usd, "tokensUsed": tokens}}


def test_ends_are_told_apart_and_money_adds_up():
    pace = Pace("system/7")
    for status in ("COMPLETED", "COMPLETED", "FAILED", "TIMEOUT", "CANCELLED"):
        pace.ended(response(status, 0.1, 3), 0.01)
    told = pace.figures()["pace"]
    assert [told[name] for name in ("completed", "failed", "cancelled")] == [2, 2, 1]
    assert (told["costUsd"], told["tokens"]) == (0.5, 15)


@pytest.mark.parametrize("seconds", [0.0, 0.0009, 0.0123, 1.0, 59.9, BOUNDS[-1]])
def test_a_class_is_at_most_a_quarter_over_what_it_holds(seconds):
    pace = Pace("system/7")
    pace.ended(response(), seconds)
    ((bound, count),) = pace.figures()["pace"]["seconds"]
    assert count == 1
    assert seconds <= bound + 1e-6 <= max(seconds, 0.001) * 1.25 + 2e-6


def test_what_takes_for_ever_has_a_class_without_a_bound():
    pace = Pace("system/7")
    pace.ended(response(), BOUNDS[-1] * 2)
    assert pace.figures()["pace"]["seconds"] == [[None, 1]]


def test_a_shard_that_wrote_nothing_says_so():
    journal = Pace("system/8").figures()["journal"]
    assert journal == {"batches": 0, "seconds": 0.0, "entries": 0, "waiting": 0}


def test_where_nothing_is_counted_its_journal_s_figures_are_0(monkeypatch):
    monkeypatch.setattr(metrics, "_counting", True)
    metrics.stop_counting()
    try:
        journal = Pace("system/6").figures()["journal"]
    finally:
        metrics.labelled.cache_clear()
    assert journal == {"batches": 0, "seconds": 0.0, "entries": 0, "waiting": 0}
