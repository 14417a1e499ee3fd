"""What one transaction carries."""

import asyncio

import pytest

from cartrita.errors import InvalidMessage
from cartrita.journal import Settlement
from cartrita.storage.postgres.batch import Batch, Entry, budgets_of
from tests.support.records import ADA, end, record, started

POSITIONS = ("ids", "careful", "keys", "budgets", "nano", "events", "settled")
INDEX = dict(zip(POSITIONS, (3, 5, 7, 9, 10, 12, 16), strict=True))


@pytest.fixture
def entry():
    """Give a function that makes an entry."""
    loop = asyncio.new_event_loop()
    yield lambda **what: Entry(loop.create_future(), 0.0, **what)
    loop.close()


def filled(entry, *contents):
    batch = Batch(100)
    for what in contents:
        batch.add(entry(**what))
    return batch


def argument(batch, name):
    return batch.arguments("system/0", 3)[INDEX[name]]


def test_admissions_come_before_events_each_in_their_order(entry):
    one, two = record(), record()
    batch = filled(
        entry, {"event": started(one)}, {"record": one}, {"event": end(one)}, {"record": two}
    )
    assert len(batch) == 4
    assert argument(batch, "ids") == [one.task_id, two.task_id]
    assert argument(batch, "events") == [one.task_id, one.task_id]


def test_only_what_has_a_key_or_a_price_is_looked_at_closely(entry):
    keyed, priced = record(idempotency_key="k"), record(reserve_nano=5)
    tokens = record(reserve_tokens=5)
    batch = filled(entry, *({"record": task} for task in (record(), keyed, priced, tokens)))
    assert argument(batch, "careful") == [2, 3, 4]
    assert argument(batch, "keys") == ["k", None, None]
    assert argument(batch, "nano") == [0, 5, 0]
    assert argument(batch, "budgets") == ["user:ada,tenant:ada"] * 3


def test_only_ends_that_settle_something_are_settled(entry):
    one, two = record(), record()
    batch = filled(entry, {"event": end(one)}, {"event": end(two), "settlement": Settlement(3, 4)})
    assert argument(batch, "settled") == [two.task_id]


def test_a_task_is_charged_to_its_user_and_its_tenant():
    assert budgets_of(record(principal=ADA)) == ["user:ada", "tenant:ada"]


@pytest.mark.parametrize(("place", "ordinal"), [(1, 1), (2, 2), (-1, 3), (-2, 4)])
def test_rows_of_the_answer_are_found_again(entry, place, ordinal):
    tasks = [record(), record()]
    events = [{"event": end(task)} for task in tasks]
    batch = filled(entry, *({"record": task} for task in tasks), *events)
    assert batch.ordinal({"place": place}) == ordinal


def test_alone_each_entry_keeps_its_position_and_what_is_known_of_it(entry):
    one, two = record(), record()
    batch = filled(entry, {"event": end(one)}, {"record": one}, {"record": two})
    batch.unsure = True
    alone = list(batch.singles())
    assert [single.position for single in alone] == [100, 101, 102]
    assert [len(single) for single in alone] == [1, 1, 1]
    assert all(single.unsure for single in alone)
    assert argument(alone[1], "ids") == [two.task_id]
    assert argument(alone[2], "events") == [one.task_id]


def test_what_has_no_form_is_refused_before_anything_is_sent(entry):
    with pytest.raises(InvalidMessage):
        argument(filled(entry, {"record": record(params={"a": object()})}), "ids")


def test_an_answer_is_given_once_and_to_nobody_who_left(entry):
    kept, left = entry(record=record()), entry(record=record())
    left.future.cancel()
    for one in (kept, left):
        one.resolve("first")
        one.resolve(error=InvalidMessage())
    assert kept.future.result() == "first"
    assert left.future.cancelled()
