"""The figures of a chaos run, and what of them must not be."""

from collections import Counter

import pytest

from cartrita.chaos.agent import effect_of
from cartrita.chaos.load import Told
from cartrita.chaos.plan import Action, Aim, Fault, Kind
from cartrita.chaos.report import Toll, failures, spread, summary
from cartrita.chaos.sink import Tally
from cartrita.chaos.streams import Reading
from cartrita.chaos.strike import Struck
from cartrita.client.models import TaskOutcome
from cartrita.history import Sample

PRICE = 1_000_000
A, B = (f"0193a1c4-6f1e-7c52-9f3e-2b6d8a4e7f{n}" for n in (10, 11))


def outcome(task_id, status="COMPLETED", retries=0):
    cost = PRICE / 1e9 if status == "COMPLETED" else 0.0
    metrics = {"costUsd": cost, "retryCount": retries}
    return TaskOutcome.model_validate({"taskId": task_id, "status": status, "metrics": metrics})


def told(name, came=0.0, took=0.05, **changes):
    fields = {"acknowledged": True, "outcome": outcome(name)} | changes
    return Told(0, name, 0.04, came, came + took, **fields)


def struck(kind=Kind.WORKER, at=1.0, healed=0.5, *, hit=True, action=Action.KILL):
    return Struck(Fault(at, kind, action, 0.0), at, hit, healed)


def toll(tasks, struck=(), tally=None, **fields):
    ids = {one.task_id for one in tasks if one.acknowledged}
    return Toll(Aim(), 1, tasks, list(struck), known=ids, tally=tally, **fields)


def counted(*names, twice=()):
    return Tally(Counter(names), Counter(map(effect_of, [*names, *twice])))


def test_a_run_in_which_nothing_went_wrong_has_no_failures():
    tasks = [told(A), told(B)]
    balance = Sample("tenant:x", 2 * PRICE, 2 * PRICE, 0)
    good = toll(tasks, tally=counted(A, B), balance=balance)
    assert failures(good) == []
    found = summary(good)
    assert (found["accepted"], found["lost"], found["duplicated"]) == (2, 0, 0)
    assert found["ends"] == {"COMPLETED": 2}
    assert found["budget"]["usedNanoUsd"] == found["budget"]["spentNanoUsd"] == 2 * PRICE


@pytest.mark.parametrize("end", [None, "RUNNING"])
def test_an_accepted_task_without_an_end_is_lost(end):
    gone = told(A, outcome=outcome(A, end) if end else None)
    assert summary(toll([gone]))["lost"] == 1
    assert failures(toll([gone])) == [f"{A} was accepted and has no end"]


def test_a_task_that_the_instance_knows_is_accepted_though_its_client_never_heard():
    unheard = told(A, acknowledged=False, outcome=None)
    assert summary(toll([told(B), unheard]))["refused"] == 1
    known = Toll(Aim(), 1, [unheard], [], known={A})
    assert summary(known)["refused"] == 0
    assert failures(known) == [f"{A} was accepted and has no end"]


def test_a_task_that_failed_is_not_lost_and_says_why():
    fate = outcome(A, "FAILED").model_copy(
        update={"error_code": "AGENT_ERROR", "reason": "QUARANTINED"}
    )
    failed = toll([told(A, outcome=fate)], tally=counted())
    assert summary(failed)["ends"] == {"FAILED": 1}
    assert summary(failed)["errors"] == {"AGENT_ERROR QUARANTINED": 1}
    assert failures(failed) == []


def test_an_effect_that_was_had_twice_is_a_failure():
    twice = toll([told(A)], tally=counted(A, twice=[A]))
    assert summary(twice)["duplicated"] == 1
    assert failures(twice) == ["1 effects were had twice"]


def test_a_completed_task_whose_effect_nobody_saw_is_a_failure():
    none = toll([told(A)], tally=counted())
    assert failures(none) == ["1 tasks completed without their effect"]


def test_what_was_not_counted_is_not_called_zero():
    found = summary(toll([told(A)]))
    assert found["duplicated"] is found["effects"] is found["budget"] is None


@pytest.mark.parametrize(("used", "reserved"), [(PRICE + 1, 0), (PRICE, 1), (0, 0)])
def test_a_budget_that_was_not_settled_exactly_is_a_failure(used, reserved):
    balance = Sample("tenant:x", 5 * PRICE, used, reserved)
    (found,) = failures(toll([told(A)], balance=balance))
    assert "budget" in found


def test_what_the_checkers_say_is_passed_on():
    bad = toll([told(A)], wrong=["x: has no end"], overspent=["tenant:x: 3 used"])
    assert failures(bad) == ["over budget: tenant:x: 3 used", "history: x: has no end"]
    found = summary(bad)
    assert (found["violations"], found["overBudget"]) == (1, 1)


def test_recovery_is_what_tasks_that_met_a_fault_took_beyond_their_work():
    met = told("met", came=0.9, took=1.04)
    retried = told("retried", came=0.99, took=0.14, outcome=outcome("retried", retries=1))
    quick = told("quick", came=0.99)
    before = told("before", came=0.0, took=0.9)
    after = told("after", came=5.0, took=2.0)
    found = summary(toll([met, retried, quick, before, after], [struck()]))
    fault = found["faults"]["worker kill"]
    assert fault["recovery"] == {"count": 2, "p50": 0.55, "p99": 0.991, "max": 1.0}
    assert fault["repair"] == {"count": 1, "p50": 0.5, "p99": 0.5, "max": 0.5}


def test_a_task_that_comes_while_nothing_is_healed_met_the_fault_too():
    late = told("late", came=3.0, took=2.0)
    found = summary(toll([late], [struck(at=1.0, healed=2.5)]))
    assert found["faults"]["worker kill"]["recovery"]["count"] == 1


def test_kinds_and_what_was_done_to_them_are_told_apart():
    faults = [
        struck(Kind.POSTGRES),
        struck(Kind.POSTGRES, action=Action.PAUSE, healed=None),
        struck(Kind.GCS, hit=False, healed=None),
    ]
    found = summary(toll([told(A)], faults))["faults"]
    assert list(found) == ["gcs kill", "postgres kill", "postgres pause"]
    counts = {name: (one["planned"], one["hit"], one["unhealed"]) for name, one in found.items()}
    assert counts == {
        "gcs kill": (1, 0, 0), "postgres kill": (1, 1, 0), "postgres pause": (1, 1, 1)
    }  # fmt: skip


def test_what_did_not_heal_is_a_failure_and_what_was_not_hit_is_none():
    faults = [struck(Kind.GCS, healed=None), struck(Kind.EDGE, hit=False, healed=None), struck()]
    assert failures(toll([told(A)], faults)) == ["gcs kill did not heal"]


def test_readers_of_events_are_counted():
    reading = Reading(A, [{"cursor": "0"}, {"cursor": "1"}], broken=3, ended=True)
    found = summary(toll([told(A, reading=reading), told(B)]))
    assert found["streams"] == {"followed": 1, "ended": 1, "broken": 3, "events": 2}


def test_no_times_have_no_spread():
    assert spread([]) == {"count": 0, "p50": None, "p99": None, "max": None}
    assert spread([0.25]) == {"count": 1, "p50": 0.25, "p99": 0.25, "max": 0.25}
    assert spread([1.0, 2.0, 3.0])["p50"] == 2.0
