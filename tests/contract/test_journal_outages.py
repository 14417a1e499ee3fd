"""What the journal says is the truth, though its database comes and goes."""

import asyncio
import random
from contextlib import suppress
from itertools import permutations

import asyncpg
import pytest

from cartrita.errors import InternalFailure, ServiceUnavailable
from cartrita.journal import EventKind
from cartrita.protocol.task import TaskStatus
from cartrita.storage.postgres import journal as journal_module
from cartrita.storage.postgres import lane
from tests.support.database import running_services
from tests.support.durable_gateway import Server
from tests.support.journals import Durable, admitted, connected, tasks_and_fold
from tests.support.processes import eventually
from tests.support.records import end, record, started


class Load:
    """Admits and ends tasks without a pause, and keeps what it was told."""

    def __init__(self, journal, clients=30, seed=1):
        self.journal, self._random = journal, random.Random(seed)
        self.verdicts, self.ends = {}, {}
        self._going = True
        self._clients = [asyncio.create_task(self._client(n)) for n in range(clients)]

    async def _client(self, number):
        turn = 0
        while self._going:
            turn += 1
            poison = self._random.random() < 0.02
            key = "\x00" if poison else (f"{number}.{turn}" if turn % 3 == 0 else None)
            task = record(f"{number}.{turn}", idempotency_key=key)
            await (self._poison(task) if poison else self._life(task))

    async def _poison(self, task):
        (refusal,) = await asyncio.gather(self.journal.admit(task), return_exceptions=True)
        assert isinstance(refusal, (InternalFailure, ServiceUnavailable))

    async def _life(self, task):
        while task.task_id not in self.verdicts:
            with suppress(ServiceUnavailable):  # it was certainly not written, so ask again
                self.verdicts[task.task_id] = await self.journal.admit(task)
        if self._random.random() < 0.8:
            self.ends[task.task_id] = await self.journal.append(end(task))

    async def done(self):
        """Let every client finish what it is at."""
        self._going = False
        await asyncio.gather(*self._clients)

    async def check(self, sql):
        """Compare what was told with what is in the database."""
        rows = await sql.fetch("SELECT task_id::text AS id, kind FROM task_events")
        accepted = {row["id"] for row in rows if row["kind"] == EventKind.ACCEPTED}
        ended = {row["id"] for row in rows if row["kind"] == EventKind.COMPLETED}
        told = {verdict.kind for verdict in self.verdicts.values()}
        assert told == {"accepted"}  # each was new, however often it had to be sent
        assert accepted == set(self.verdicts)
        assert set(self.ends.values()) == {True}
        assert ended == set(self.ends)
        table, folded = await tasks_and_fold(sql)
        assert table == folded


class Troubled:
    """A connection that is cut before it answers what it did, or refuses to do it."""

    def __init__(self, connection, troubles):
        self._connection, self._troubles = connection, troubles

    def __getattr__(self, name):
        return getattr(self._connection, name)

    async def fetch(self, *arguments):
        trouble = self._troubles.pop(0) if self._troubles else None
        if trouble == "refuse":
            raise asyncpg.DataError("refused")
        rows = await self._connection.fetch(*arguments)
        if trouble == "cut":
            raise asyncpg.ConnectionDoesNotExistError("cut")
        return rows


def troubled(connected, troubles):
    async def connect():
        return Troubled(await connected(), troubles)

    return connect


@pytest.mark.database
class TestCutConnections(Durable):
    async def test_verdicts_are_the_truth_though_connections_are_cut_in_the_middle(
        self, opened, sql, monkeypatch
    ):
        monkeypatch.setattr(lane, "PAUSE", 0.001)
        journal = await opened()
        load = Load(journal)
        cuts, rng = 0, random.Random(3)
        while cuts < 40 or len(load.verdicts) < 400:
            cuts += await sql.fetchval(
                """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE application_name = 'cartrita journal system/0'
                     AND datname = current_database() AND state = 'active'"""
            )
            await asyncio.sleep(rng.random() * 0.03)
        await load.done()
        await journal.close()
        await load.check(sql)

    @pytest.mark.parametrize("troubles", [["cut"], *permutations(["cut", "cut", "refuse"])])
    async def test_a_batch_whose_commit_was_not_answered_is_answered_with_the_truth(
        self, journal, stories, monkeypatch, troubles
    ):
        """Committed, and then cut, refused or cut again on the way to the answer."""
        monkeypatch.setattr(lane, "PAUSE", 0.001)
        (old,) = await admitted(journal, record(idempotency_key="k"))
        new = [record(str(number), idempotency_key=f"k{number}") for number in range(3)]
        left_over = list(troubles)
        way = journal._lane
        monkeypatch.setattr(way, "_connected", troubled(way._connected, left_over))
        asked = [
            *(journal.admit(task) for task in (new[0], old, new[1])),
            journal.admit(record("other", idempotency_key="k")),
            journal.admit(record(idempotency_key="k")),
            journal.admit(new[2]),
        ]
        told = [journal.append(event) for event in (end(old), end(old, TaskStatus.CANCELLED))]
        verdicts = await asyncio.wait_for(asyncio.gather(*asked), 10)
        kinds = [verdict.kind for verdict in verdicts]
        assert kinds == ["accepted", "known", "accepted", "mismatch", "known", "accepted"]
        assert await asyncio.gather(*told) == [True, False]
        assert left_over == []
        for task in new:
            assert len(await stories.story(task.task_id)) == 1

    async def test_a_statement_that_is_cancelled_is_sent_again(self, journal, sql):
        (task,) = await admitted(journal, record())
        async with sql.transaction():
            await sql.execute("LOCK TABLE task_events IN EXCLUSIVE MODE")
            waiting = [journal.append(end(task)), journal.admit(record())]
            cancelled = 0
            while cancelled < 3:
                cancelled += await sql.fetchval(
                    """SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
                       WHERE wait_event_type = 'Lock' AND datname = current_database()"""
                )
        ended, verdict = await asyncio.gather(*waiting)
        assert (ended, verdict.kind) == (True, "accepted")

    async def test_a_database_that_only_reads_for_a_while_delays_ends_and_refuses_tasks(
        self, journal, sql, monkeypatch
    ):
        """As after a failover, until the standby is promoted."""
        monkeypatch.setattr(lane, "PATIENCE", 0.2)
        (task,) = await admitted(journal, record())
        name = await sql.fetchval("SELECT current_database()")
        await sql.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await self.cut(sql)
        # What it sent just now would be in doubt, and not refused.
        assert await eventually(journal._lane._connection.is_closed, 5)
        ended = journal.append(end(task))
        with pytest.raises(ServiceUnavailable, match="away"):
            await asyncio.wait_for(journal.admit(record()), 10)
        assert not ended.done()
        await sql.execute("SET default_transaction_read_only = off")
        await sql.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await self.cut(sql)
        assert await asyncio.wait_for(ended, 10)
        await admitted(journal, record())

    async def cut(self, sql):
        await sql.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        )


@pytest.fixture(scope="module")
def own_services(tmp_path_factory):
    """Run servers that a test may kill."""
    with running_services(tmp_path_factory.mktemp("own")) as running:
        yield running


@pytest.mark.database
@pytest.mark.chaos
class TestRestarts(Durable):
    @pytest.fixture
    def database_url(self, own_services):
        with own_services.fresh_database() as url:
            yield url

    @pytest.fixture
    def server(self, own_services):
        return Server(own_services)

    async def test_no_accepted_task_is_lost_and_none_is_told_twice_though_the_server_is_killed(
        self, opened, server, database_url
    ):
        journal = await opened()
        load = Load(journal)
        for rounds in range(1, 4):
            assert await eventually(lambda: len(load.verdicts) > 300 * rounds, 20)  # noqa: B023
            await server.kill()
        assert await eventually(lambda: len(load.verdicts) > 1_200, 20)
        await load.done()
        await journal.close()
        async with connected(database_url) as sql:
            await load.check(sql)

    async def test_while_the_server_is_away_tasks_are_refused_and_ends_wait(
        self, opened, server, database_url, monkeypatch
    ):
        monkeypatch.setattr(lane, "PATIENCE", 0.3)
        journal = await opened()
        (task,) = await admitted(journal, record())
        await server.stop()
        ended = journal.append(end(task))
        late = [journal.admit(record()) for _ in range(5)]
        refusals = await asyncio.wait_for(asyncio.gather(*late, return_exceptions=True), 10)
        assert [type(refusal) for refusal in refusals] == [ServiceUnavailable] * 5
        assert all(refusal.retry_after for refusal in refusals)
        assert not ended.done()
        await server.start()
        assert await asyncio.wait_for(ended, 20)
        await admitted(journal, record())
        async with connected(database_url) as sql:
            assert await sql.fetchval("SELECT count(*) FROM task_events WHERE step = 0") == 2

    async def test_closing_while_the_server_is_away_does_not_wait_for_ever(
        self, opened, server, monkeypatch
    ):
        monkeypatch.setattr(journal_module, "CLOSE_TIMEOUT", 0.3)
        journal = await opened()
        (task,) = await admitted(journal, record())
        await server.stop()
        ended, late = journal.append(end(task)), journal.append(started(task))
        await asyncio.wait_for(journal.close(), 10)
        for one in (ended, late):
            with pytest.raises(ServiceUnavailable):
                await one
        await server.start()

    async def test_a_shard_cannot_be_taken_while_the_server_is_away(self, opened, server):
        await server.stop()
        with pytest.raises(OSError):  # noqa: PT011 - whatever the system calls it
            await opened()
        await server.start()
        assert (await opened()).epoch == 1
