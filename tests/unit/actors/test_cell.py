"""Who waits for a task, and whether it may run again."""

import pytest

from actors.cell import PRUNE, Cell, same_task
from cartrita.errors import IdempotencyMismatch, NotFound, QueueFull
from cartrita.protocol.task import Delivery
from tests.support.records import ADA, EVE, digest, record


@pytest.fixture
def cell():
    return Cell(record(), "poet", 0.0)


class TestWaiting:
    async def test_acceptance_is_told_to_those_who_asked_for_it_only(self, cell):
        acceptance, end = cell.wait(end=False), cell.wait(end=True)
        cell.tell("accepted", ended=False)
        assert acceptance.result() == "accepted"
        assert not end.done()
        cell.tell("ended", ended=True)
        assert end.result() == "ended"

    async def test_an_end_is_told_to_all(self, cell):
        waiting = [cell.wait(end=False), cell.wait(end=True)]
        cell.tell("ended", ended=True)
        assert [one.result() for one in waiting] == ["ended", "ended"]
        assert cell.waiters == []

    async def test_an_error_is_raised_to_all(self, cell):
        waiting = [cell.wait(end=False), cell.wait(end=True)]
        cell.tell(QueueFull("no"), ended=True)
        for one in waiting:
            with pytest.raises(QueueFull):
                await one

    async def test_whoever_left_is_passed_over(self, cell):
        left, stays = cell.wait(end=True), cell.wait(end=True)
        left.cancel()
        cell.tell("ended", ended=True)
        assert left.cancelled()
        assert stays.result() == "ended"

    async def test_those_who_ask_again_and_again_do_not_pile_up(self, cell):
        stays = cell.wait(end=True)
        for _ in range(10 * PRUNE):
            cell.wait(end=True).cancel()
        assert len(cell.waiters) <= PRUNE + 1
        cell.tell("ended", ended=True)
        assert stays.result() == "ended"


class TestSameTask:
    def test_a_repeat_is_the_same_task(self):
        task = record()
        same_task(task, record(task_id=task.task_id))

    def test_another_user_s_task_is_not_there(self):
        with pytest.raises(NotFound):
            same_task(record(principal=ADA), record(principal=EVE))

    def test_another_payload_is_another_task(self):
        with pytest.raises(IdempotencyMismatch):
            same_task(record("one"), record("two"))

    def test_digests_that_were_compared_are_not_compared_again(self):
        same_task(record(), record(digest=digest("other")), known=True)
        with pytest.raises(NotFound):
            same_task(record(principal=ADA), record(principal=EVE), known=True)


@pytest.mark.parametrize(
    ("delivery", "safe", "again"),
    [
        (Delivery.AT_MOST_ONCE, False, False),
        (Delivery.AT_MOST_ONCE, True, False),
        (Delivery.AT_LEAST_ONCE, False, True),
        (Delivery.EXACTLY_ONCE, False, False),
        (Delivery.EXACTLY_ONCE, True, True),
    ],
)
def test_only_what_may_run_twice_is_repeatable(delivery, safe, again):
    assert Cell(record(delivery=delivery), "poet", 0.0, safe=safe).repeatable == again


@pytest.mark.parametrize("delivery", [Delivery.AT_LEAST_ONCE, Delivery.EXACTLY_ONCE])
def test_what_was_fed_a_stream_is_not_repeatable(delivery):
    assert not Cell(record(delivery=delivery), "poet", 0.0, safe=True, fed=True).repeatable
