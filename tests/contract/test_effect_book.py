"""What every book of effects promises to people."""

import asyncio
from dataclasses import replace

import pytest

from cartrita.clock import new_id
from cartrita.effects import Finding, State
from cartrita.errors import ServiceUnavailable
from cartrita.protocol.task import TaskStatus
from cartrita.storage.postgres.effects import _OPEN
from tests.support.effects import BEGUN, SENT, UNKNOWN, InMemory, InPostgres, Shard, intent
from tests.support.journals import admitted
from tests.support.records import EVE, end, record


def states(rows):
    return [(row.id, row.state) for row in rows]


class BookContract(Shard):
    """Subclass it with fixtures `taken` and `book`."""

    async def test_what_was_begun_is_unknown_once_the_shard_has_another_owner(self, taken, book):
        _, ledger = await taken("system/0")
        one = intent()
        await ledger.begin(one)
        assert states(await book.page(None, BEGUN, 5, None)) == [(one.id, BEGUN)]
        assert await book.page(None, UNKNOWN, 5, None) == []
        await taken("system/0")
        assert await book.page(None, BEGUN, 5, None) == []
        assert states(await book.page(None, UNKNOWN, 5, None)) == [(one.id, UNKNOWN)]
        assert (await book.find(one.id)).state is UNKNOWN

    async def test_what_was_begun_is_unknown_once_its_task_has_ended(self, shard, book):
        journal, ledger = shard
        (task,) = await admitted(journal, record())
        one = intent(task)
        await ledger.begin(one)
        assert (await book.find(one.id)).state is BEGUN
        await journal.append(end(task, TaskStatus.CANCELLED))
        assert (await book.find(one.id)).state is UNKNOWN
        assert states(await book.page(None, UNKNOWN, 5, None)) == [(one.id, UNKNOWN)]

    async def test_the_effects_of_one_task_and_its_other_tries_are_found_together(
        self, ledger, book
    ):
        task = record()
        again = record(root=task.task_id)
        ours = [intent(task, "a"), intent(again, "b"), intent(task, "c")]
        for one in (*ours, intent()):
            await ledger.begin(one)
        await ledger.end(ours[0], SENT, of=BEGUN)
        found = await book.of_work(task.task_id)
        assert [(row.id, row.state.value) for row in found] == [
            (ours[0].id, "done"),
            (ours[1].id, "begun"),
            (ours[2].id, "begun"),
        ]
        assert found[0].result == SENT.result
        assert await book.of_work(new_id()) == []

    async def test_each_state_is_listed_by_itself_and_each_user_s_alone(self, ledger, book):
        ours = {}
        for state in State:
            ours[state] = intent(key=state.value)
            await ledger.begin(ours[state])
            if state is not BEGUN:
                await ledger.end(ours[state], Finding(state), of=BEGUN)
        theirs = intent(record(principal=EVE))
        await ledger.begin(theirs)
        await ledger.end(theirs, Finding.unknown(), of=BEGUN)
        for state in State:
            assert states(await book.page("ada", state, 5, None)) == [(ours[state].id, state)]
        everybody = {row.id for row in await book.page(None, UNKNOWN, 5, None)}
        assert everybody == {ours[UNKNOWN].id, theirs.id}

    async def test_pages_go_from_the_newest_task_to_the_oldest(self, ledger, book):
        intents = [intent() for _ in range(5)]
        for one in intents:
            await ledger.begin(one)
            await ledger.end(one, Finding.unknown(), of=BEGUN)
        first = await book.page(None, UNKNOWN, 3, None)
        rest = await book.page(None, UNKNOWN, 3, first[-1].id.upper())
        ids = [row.id for row in (*first, *rest)]
        assert ids == sorted((one.id for one in intents), reverse=True)

    @pytest.mark.parametrize("finding", [SENT, Finding.done(), Finding.not_done()])
    async def test_a_person_decides_once(self, ledger, book, finding):
        one = intent()
        await ledger.begin(one)
        await ledger.end(one, Finding.unknown(), of=BEGUN)
        assert await book.resolve(one.id, finding, "root")
        for other in (SENT, Finding.not_done()):
            assert not await book.resolve(one.id, other, "eve")
        row = await book.find(one.id)
        assert (Finding(row.state, row.result), row.settled_by) == (finding, "root")
        assert await book.page(None, UNKNOWN, 5, None) == []

    async def test_only_the_unknown_is_a_person_s_to_decide(self, ledger, book):
        begun, done, denied = (intent(key=key) for key in "abc")
        for one in (begun, done, denied):
            await ledger.begin(one)
        await ledger.end(done, SENT, of=BEGUN)
        await ledger.end(denied, Finding.not_done(), of=BEGUN)
        for one in (begun, done, denied, intent()):
            assert not await book.resolve(one.id, Finding.done(), "root")
        assert await ledger.end(begun, SENT, of=BEGUN) == SENT

    async def test_what_a_person_decided_holds_for_the_attempt_that_asks(self, ledger, book):
        one = intent()
        await ledger.begin(one)
        later = replace(one, attempt=2)
        await ledger.begin(later)
        assert await book.resolve(one.id, SENT, "root")
        assert await ledger.end(later, Finding.not_done(), of=UNKNOWN) == SENT
        assert await ledger.begin(replace(one, attempt=3)) == SENT

    async def test_a_person_may_decide_what_a_dead_owner_had_begun(self, taken, book):
        _, ledger = await taken("system/0")
        one = intent()
        await ledger.begin(one)
        _, successor = await taken("system/0")
        assert await book.resolve(one.id, Finding.not_done(), "root")
        assert await successor.begin(replace(one, attempt=2)) == Finding(BEGUN)
        row = await book.find(one.id)
        assert (row.state, row.settled_by, row.ended_at) == (BEGUN, None, None)

    async def test_of_many_who_decide_at_once_one_does(self, ledger, book):
        one = intent()
        await ledger.begin(one)
        await ledger.end(one, Finding.unknown(), of=BEGUN)
        findings = [Finding.done(n) if n % 2 else Finding.not_done() for n in range(8)]
        told = await asyncio.gather(*(book.resolve(one.id, f, "root") for f in findings))
        assert sorted(told) == [False] * 7 + [True]
        row = await book.find(one.id)
        assert Finding(row.state, row.result) == findings[told.index(True)]

    async def test_what_is_no_effect_is_not_found(self, book):
        assert await book.find(new_id()) is None
        assert not await book.resolve(new_id(), SENT, "root")


class TestInMemoryBook(InMemory, BookContract):
    """Reads the ledger in memory."""


@pytest.mark.database
class TestPostgresBook(InPostgres, BookContract):
    """Reads the table of effects."""

    async def test_what_is_open_is_read_from_its_index(self, ledger, sql):
        await ledger.begin(intent())
        await sql.execute("SET enable_seqscan = off; SET enable_sort = off")
        plan = await sql.fetch(f"EXPLAIN {_OPEN}", None, "unknown", 5, None)
        assert "effects_open" in "\n".join(row[0] for row in plan)

    async def test_a_lost_server_is_said_in_our_words(self, pool, book):
        await pool.close()
        for asked in (
            book.page(None, UNKNOWN, 5, None),
            book.find(new_id()),
            book.resolve(new_id(), SENT, "root"),
        ):
            with pytest.raises(ServiceUnavailable):
                await asked
