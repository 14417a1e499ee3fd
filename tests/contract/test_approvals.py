"""What every keeper of questions to people promises."""

import asyncio
from dataclasses import replace

import pytest

from cartrita.approvals import Verdict
from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable
from cartrita.protocol.task import TaskStatus
from cartrita.storage.memory_approvals import InMemoryApprovals
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.postgres.approvals import PostgresApprovals
from tests.support.approvals import question
from tests.support.journals import Durable, admitted
from tests.support.records import end, record

PENDING, APPROVED, DENIED, EXPIRED = Verdict


def ids(rows):
    return [row.id for row in rows]


class ApprovalsContract:
    """Subclass it with fixtures `book` and `journal`."""

    async def test_a_question_is_kept_as_it_was_asked(self, book):
        asked = question(input={"text": "Zoë \x00 🎉", "n": [1, None]})
        times = {"asked_at": 0.0, "expires_at": 0.0}
        found = await book.ask(asked)
        assert replace(found, **times) == replace(asked, **times)
        assert found.asked_at == pytest.approx(asked.asked_at)
        assert found.expires_at == pytest.approx(asked.expires_at)
        assert (await book.find(asked.id)).input == asked.input
        assert await book.find(new_id()) is None

    async def test_asking_again_changes_nothing(self, book):
        asked = question()
        await book.ask(asked)
        await book.decide(asked.id, DENIED, "ada", "no")
        again = await book.ask(replace(asked, input={"text": "other"}, tool="other"))
        assert (again.verdict, again.tool, again.input) == (DENIED, "send", {"text": "hello"})

    async def test_one_that_waits_goes_over_to_the_retry_of_its_task(self, book):
        asked = question(lasts=-1.0)
        await book.ask(asked)
        retry = replace(question(), id=asked.id)
        assert (await book.ask(retry)).verdict is PENDING
        assert (await book.find(asked.id)).task_id == retry.task_id

    async def test_one_decision_counts_the_first(self, book):
        asked = question()
        await book.ask(asked)
        both = await asyncio.gather(
            book.decide(asked.id, APPROVED, "ada", "yes"),
            book.decide(asked.id, DENIED, "eve", "no"),
        )
        assert sorted(both) == [False, True]
        found = await book.find(asked.id)
        assert found.verdict is (APPROVED if both[0] else DENIED)
        assert found.decided_by == ("ada" if both[0] else "eve")
        assert found.reason == ("yes" if both[0] else "no")
        assert found.decided_at is not None
        assert not await book.decide(new_id(), APPROVED, "ada", "")

    async def test_the_standing_of_many_is_told_at_once(self, book):
        asked = [question() for _ in range(3)]
        for one in asked:
            await book.ask(one)
        await book.decide(asked[1].id, APPROVED, "ada", "")
        found = {row.id: row.verdict for row in await book.standing([*ids(asked), new_id()])}
        assert found == {asked[0].id: PENDING, asked[1].id: APPROVED, asked[2].id: PENDING}

    async def test_what_nobody_waits_for_any_more_is_over(self, book):
        late = question(lasts=-1.0)
        await book.ask(late)
        assert (await book.find(late.id)).verdict is EXPIRED
        assert not await book.decide(late.id, APPROVED, "ada", "")
        assert late.id not in ids(await book.page("ada", PENDING, 50, None))
        assert late.id in ids(await book.page("ada", EXPIRED, 50, None))

    async def test_a_question_is_over_with_its_task(self, book, journal):
        (task,) = await admitted(journal, record())
        asked = question(task_id=task.task_id)
        await book.ask(asked)
        assert (await book.find(asked.id)).verdict is PENDING
        await journal.append(end(task, TaskStatus.CANCELLED))
        assert (await book.find(asked.id)).verdict is EXPIRED
        assert not await book.decide(asked.id, APPROVED, "ada", "")

    async def test_each_state_is_listed_by_itself_and_each_user_s_alone(self, book):
        mine, other = f"u-{new_id()}", f"u-{new_id()}"
        kept = {verdict: question(mine) for verdict in (PENDING, APPROVED, DENIED)}
        for verdict, asked in kept.items():
            await book.ask(asked)
            if verdict is not PENDING:
                await book.decide(asked.id, verdict, "ada", "")
        await book.ask(question(other))
        for verdict, asked in kept.items():
            assert ids(await book.page(mine, verdict, 5, None)) == [asked.id]

    async def test_pages_go_from_the_newest_task_to_the_oldest(self, book):
        mine = f"u-{new_id()}"
        asked = [question(mine) for _ in range(5)]
        for one in asked:
            await book.ask(one)
        newest = sorted(ids(asked), reverse=True)
        first = ids(await book.page(mine, PENDING, 2, None))
        assert first == newest[:2]
        assert ids(await book.page(mine, PENDING, 9, first[-1])) == newest[2:]


class TestInMemory(ApprovalsContract):
    @pytest.fixture
    def tables(self):
        return JournalTables()

    @pytest.fixture
    def book(self, tables):
        return InMemoryApprovals(tables)

    @pytest.fixture
    async def journal(self, tables):
        journal = InMemoryJournal(tables, "system/0")
        await journal.open()
        return journal


class TestPostgres(Durable, ApprovalsContract):
    @pytest.fixture
    def book(self, pool):
        return PostgresApprovals(pool)

    async def test_a_database_that_is_away_is_unavailable(self, pool, book):
        await pool.close()
        with pytest.raises(ServiceUnavailable):
            await book.find(new_id())
