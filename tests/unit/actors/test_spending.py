"""What the attempts at a task have used, and what it is charged."""

import pytest

from actors import spending
from actors.cell import Cell
from actors.response import charged, failure, respond
from cartrita.cost.budget import Line
from cartrita.errors import AgentFailed, TaskCancelled
from cartrita.journal import Settlement
from tests.support.records import record


def use(model="a", nano=5, tokens=(3, 4)):
    return {"model": model, "tokensIn": tokens[0], "tokensOut": tokens[1], "nanoUsd": nano}


def completed(usd=0.0, tokens=0, **measures):
    metrics = {"costUsd": usd, "tokensUsed": tokens, "customMetrics": measures}
    return {"status": "COMPLETED", "metrics": metrics}


@pytest.fixture
def cell():
    return Cell(record(reserve_nano=100), "poet", 0.0)


def settled(cell, outcome):
    outcome = charged(outcome, cell.spent)
    return spending.settled(cell, respond(cell.record, outcome, queued=0.0, attempts=1))


def test_what_was_reserved_is_settled_with_what_was_used(cell):
    assert settled(cell, completed(0.25, 7)) == Settlement(250_000_000, 7)


def test_a_task_that_failed_unused_gives_back_all_of_it(cell):
    assert settled(cell, failure(AgentFailed())) == Settlement(0, 0)


def test_where_nothing_was_reserved_or_used_nothing_is_settled():
    free = Cell(record(), "poet", 0.0)
    assert settled(free, failure(AgentFailed())) is None
    assert settled(free, completed(0.0, 7)) == Settlement(0, 7)


def test_the_end_of_a_task_that_began_a_tree_is_settled_though_it_is_free():
    task = record()
    assert settled(Cell(record(task_id=task.task_id, tree=task.task_id), "", 0.0), completed())


def test_an_attempt_that_could_not_answer_is_charged_what_it_was_heard_to_use(cell):
    spending.note(cell, "model", use())
    spending.note(cell, "model", use())
    spending.note(cell, "tool", {"name": "web"})
    outcome = spending.told(cell, failure(TaskCancelled()))
    assert settled(cell, outcome) == Settlement(10, 14)


def test_an_attempt_that_answers_is_charged_what_it_says(cell):
    spending.note(cell, "model", use())
    outcome = completed(0.25, 9)
    assert spending.told(cell, outcome) is outcome


def test_what_an_attempt_used_whose_host_died_is_paid_beside_what_the_next_one_uses(cell):
    spending.note(cell, "model", use())
    assert spending.told(cell, None) is None
    assert spending.told(cell, None) is None
    spending.note(cell, "model", use("b", 20, (1, 1)))
    found = settled(cell, spending.told(cell, completed(2e-8, 2)))
    assert found == Settlement(25, 9)
    assert found.bill.lines == (Line("a", 0, 1, 0, 5, 7), Line("b", 1, 1, 0, 20, 2))


def test_a_bill_says_who_is_charged_and_for_what(cell):
    bill = settled(cell, completed(0.25)).bill
    assert (bill.user, bill.tenant, bill.agent, bill.task_type) == (
        "ada", "ada", "poet", "test.echo",
    )  # fmt: skip
    assert bill.lines == (Line("", 1, 0, 0, 250_000_000, 0),)


def test_what_a_cache_answers_costs_nothing_and_is_told_so(cell):
    found = settled(cell, completed(cacheHit=1))
    assert found == Settlement(0, 0)
    assert found.bill.lines == (Line("", 1, 0, 1, 0, 0),)
