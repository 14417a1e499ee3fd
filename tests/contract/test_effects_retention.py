"""How long the effect ledger keeps what is known."""

import asyncio

import pytest

from cartrita.effects import Finding
from cartrita.protocol.task import TaskStatus
from cartrita.storage.memory_runtime import InMemoryQuarantine, InMemoryRetention
from cartrita.storage.postgres.retention import PostgresRetention
from tests.support.effects import BEGUN, DONE, SENT, UNKNOWN, InMemory, InPostgres, Shard, intent
from tests.support.journals import admitted
from tests.support.records import end, record
from tests.support.retention import FoldedInPostgres, Forgetting


class RetentionContract(Forgetting, Shard):
    """Subclass it with fixtures `taken`, `book`, `retention` and `folded`."""

    @pytest.fixture
    def acted(self, shard):
        """Give a function that lets a task have an effect and end."""
        journal, ledger = shard

        async def act(finding=SENT, task=None, **told):
            (task,) = await admitted(journal, task or record())
            one = intent(task)
            await ledger.begin(one)
            if finding is not None:
                await ledger.end(one, finding, of=BEGUN)
            status = TaskStatus.FAILED if told else TaskStatus.COMPLETED
            await journal.append(end(task, status, **told))
            return task, one.id

        return act

    async def stands(self, book, effect):
        row = await book.find(effect)
        return row and row.state

    @pytest.mark.parametrize("finding", [SENT, Finding.not_done()])
    async def test_what_is_known_goes_with_its_task_s_events(self, acted, book, forget, finding):
        _, effect = await acted(finding)
        await forget(47)
        assert await self.stands(book, effect) is finding.state
        await forget(2)
        assert await self.stands(book, effect) is None

    async def test_what_is_unknown_stays_until_somebody_decides(self, acted, book, forget):
        _, effect = await acted(Finding.unknown())
        await forget(1000)
        assert await self.stands(book, effect) is UNKNOWN
        assert await book.resolve(effect, Finding.not_done(), "root")
        await forget(1)
        assert await self.stands(book, effect) is None

    async def test_what_was_never_ended_is_unknown_for_good(self, acted, book, forget):
        _, effect = await acted(None)
        assert await self.stands(book, effect) is UNKNOWN
        await forget(1000)
        assert await self.stands(book, effect) is UNKNOWN

    async def test_what_a_task_without_an_end_did_stays(self, shard, book, forget):
        journal, ledger = shard
        (task,) = await admitted(journal, record())
        done, begun = intent(task, key="a"), intent(task, key="b")
        await ledger.begin(done)
        await ledger.end(done, SENT, of=BEGUN)
        await ledger.begin(begun)
        await forget(1000)
        assert await self.stands(book, done.id) is DONE
        assert await self.stands(book, begun.id) is BEGUN

    async def test_what_waits_in_quarantine_keeps_its_effects(self, acted, book, forget):
        _, effect = await acted(reason="QUARANTINED")
        await forget(1000)
        assert await self.stands(book, effect) is DONE

    async def test_whoever_tries_it_again_finds_them_as_long_as_it_is_kept(
        self, shard, acted, book, forget
    ):
        journal, _ = shard
        first, effect = await acted()
        again = record(retry_of=first.task_id, root=first.task_id)
        await admitted(journal, again)
        await forget(1000)
        assert await self.stands(book, effect) is DONE
        await journal.append(end(again))
        await forget(1000)
        assert await self.stands(book, effect) is None


class TestInMemory(InMemory, RetentionContract):
    @pytest.fixture
    def retention(self, tables, clock):
        return InMemoryRetention(tables, InMemoryQuarantine(tables), clock)

    @pytest.fixture
    def folded(self):
        async def at_once():
            """Nothing lags."""

        return at_once


@pytest.mark.database
class TestPostgres(FoldedInPostgres, InPostgres, RetentionContract):
    @pytest.fixture
    def retention(self, pool, clock):
        return PostgresRetention(pool, clock)

    async def test_many_go_a_few_at_a_time(self, ledger, sql):
        intents = [intent(key=str(number)) for number in range(30)]
        await asyncio.gather(*(ledger.begin(one) for one in intents))
        await asyncio.gather(*(ledger.end(one, SENT, of=BEGUN) for one in intents))
        went = [
            await sql.fetchval("SELECT forget_effects(now() + interval '1 s', 12)")
            for _ in range(4)
        ]
        assert went == [12, 12, 6, 0]

    async def test_the_known_are_read_from_their_index(self, ledger, sql):
        await sql.execute("SET enable_seqscan = off; SET enable_sort = off")
        plan = await sql.fetch(
            "EXPLAIN SELECT id FROM effects WHERE state IN ('done', 'not_done') "
            "AND begun_at < now() ORDER BY begun_at LIMIT 5"
        )
        assert "effects_known" in "\n".join(row[0] for row in plan)
