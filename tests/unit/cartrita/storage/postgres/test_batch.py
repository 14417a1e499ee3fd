"""What one transaction carries."""

import asyncio
import json
from dataclasses import replace

import pytest

from cartrita.charges import budgets_of
from cartrita.clock import minted_at
from cartrita.cost.budget import Bill, Ceiling, Defaults, Line
from cartrita.errors import InvalidMessage
from cartrita.journal import END_STEP, Settlement
from cartrita.storage.postgres.batch import YOUNG, Batch, Entry, Purse, array, needs_care
from tests.support.records import ADA, EVE, end, record, started

NAMES = (
    "shard", "epoch", "position", "ids", "steps", "kinds", "at", "data", "contested",
    "careful", "principals", "keys", "digests", "budgets", "nano", "tokens",
    "settled", "used", "used_tokens", "defaults", "trees", "tree_nano", "tree_tokens", "lines",
)  # fmt: skip

PURSE = Purse(Defaults())


@pytest.fixture
def entry():
    """Give a function that makes an entry of a task or of an event."""
    loop = asyncio.new_event_loop()

    def make(what, settlement=None):
        future = loop.create_future()
        if hasattr(what, "principal"):
            careful = needs_care(what, minted_at(what.task_id))
            return Entry(future, 0.0, what.task_id, 0, 0, 0.0, what.pack(), what, careful)
        step, kind = what.step, int(what.kind)
        event = {"event": what, "settlement": settlement}
        return Entry(future, 0.0, what.task_id, step, kind, 0.0, b"said", **event)

    yield make
    loop.close()


@pytest.fixture
def filled(entry):
    return lambda *contents: Batch(100, [entry(what) for what in contents])


def argument(batch, name):
    given = batch.arguments("system/0", 3, PURSE)
    return dict(zip(NAMES, given, strict=True))[name]


def test_entries_are_told_in_the_order_in_which_they_came(filled):
    one, two = record(), record()
    batch = filled(started(one), two, end(one))
    assert argument(batch, "ids") == f"{{{one.task_id},{two.task_id},{one.task_id}}}"
    assert argument(batch, "steps") == f"{{{(1 << 32) | 1},0,{END_STEP}}}"
    assert argument(batch, "kinds") == "{2,0,16}"
    assert argument(batch, "data") == [b"said", two.pack(), b"said"]


def test_only_what_has_a_key_or_a_price_is_looked_at_closely(filled):
    priced, tokens = record(reserve_nano=5), record(reserve_tokens=7)
    batch = filled(record(), record(idempotency_key="k"), priced, tokens)
    found = zip(*(argument(batch, name) for name in NAMES[9:16]), strict=True)
    assert {place: (key, nano, count) for place, _, key, _, _, nano, count in found} == {
        2: ("k", 0, 0),
        3: (None, 5, 0),
        4: (None, 0, 7),
    }
    assert argument(batch, "budgets") == [*["user:ada\x1ftenant:ada"] * 2, ""]


def test_an_old_or_foreign_id_is_looked_at_closely():
    task = record()
    now = minted_at(task.task_id)
    assert not needs_care(task, now)
    assert needs_care(task, now + YOUNG + 1)
    assert needs_care(task, now - YOUNG - 1)
    assert needs_care(record(task_id="6f1d9c1e-3d53-4f0e-9d3c-0d2b6f4c9f11"), now)


def test_keys_are_taken_in_one_order_so_that_two_writers_never_wait_in_a_circle(filled):
    keyed = [(EVE, "a"), (ADA, "b"), (ADA, "a"), (EVE, "a")]
    batch = filled(*(record(principal=who, idempotency_key=key) for who, key in keyed))
    assert argument(batch, "careful") == [3, 2, 1, 4]


def test_only_ends_that_settle_something_are_settled(entry):
    one, two = record(), record()
    batch = Batch(100, [entry(end(one)), entry(end(two), Settlement(3, 4))])
    assert [argument(batch, name) for name in NAMES[16:19]] == [[2], [3], [4]]


def test_a_task_is_charged_to_its_user_and_its_tenant():
    assert budgets_of(record(principal=ADA), Defaults()) == ["user:ada", "tenant:ada"]


def test_a_session_s_budget_counts_where_sessions_have_one():
    task = record(session_id="s", tree="t")
    assert budgets_of(task, Defaults()) == ["user:ada", "tenant:ada", "task:t"]
    told = budgets_of(task, Defaults({"session": Ceiling(5)}))
    assert told == ["user:ada", "tenant:ada", "session:ada/s", "task:t"]


def test_a_tree_begins_with_the_task_whose_caller_set_its_ceiling(filled):
    task = record()
    root, child = replace(task, tree=task.task_id, max_usd=0.5), record(tree="x", reserve_nano=1)
    batch = filled(child, root, record())
    assert argument(batch, "careful") == [1, 2]
    assert argument(batch, "trees") == [f"task:{task.task_id}"]
    assert argument(batch, "tree_nano") == [500_000_000]
    assert argument(batch, "tree_tokens") == [None]


def test_the_lines_of_bills_are_told_by_the_places_of_their_ends(entry):
    task = record()
    bill = Bill("ada", "lab", "chat", "chat.send", (Line("a", 0, 2, 0, 5, 7), Line("", 1)))
    batch = Batch(100, [entry(end(record())), entry(end(task), Settlement(5, 7, bill))])
    first, second = json.loads(argument(batch, "lines"))
    assert (first["place"], first["day"], first["model"]) == (2, "1970-01-01", "a")
    assert (first["calls"], first["nano_usd"], first["tokens"], second["tasks"]) == (2, 5, 7, 1)
    assert (second["user_id"], second["tenant"], second["agent"]) == ("ada", "lab", "chat")
    assert argument(Batch(100, [entry(end(task), Settlement(3, 4))]), "lines") is None


def test_alone_each_entry_keeps_its_position_and_what_is_known_of_it(filled):
    one, two = record(), record()
    batch = filled(one, end(one), two)
    batch.unsure = batch.contested = True
    alone = list(batch.singles())
    assert [single.position for single in alone] == [100, 101, 102]
    assert [single.entries for single in alone] == [[e] for e in batch.entries]
    assert all(single.unsure and single.contested for single in alone)


def test_an_array_of_nothing_is_empty():
    assert array([]) == "{}"


def test_an_answer_is_given_once_and_to_nobody_who_left(entry):
    kept, left = entry(record()), entry(record())
    left.future.cancel()
    for one in (kept, left):
        one.resolve("first")
        one.resolve(error=InvalidMessage())
    assert kept.future.result() == "first"
    assert left.future.cancelled()
