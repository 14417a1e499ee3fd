"""What everything that keeps leases promises, and what hosts make of them."""

import asyncio

import pytest

from cartrita import turns
from cartrita.answers import Question, Terms, TieredAnswers
from cartrita.clock import ManualClock, SystemClock, new_id
from cartrita.context import Context
from cartrita.errors import AgentFailed, ServiceUnavailable
from cartrita.policy.cache import Cache
from cartrita.policy.chain import Job
from cartrita.storage.answers import Owner
from cartrita.storage.memory_answers import InMemoryShelf
from cartrita.storage.memory_leases import InMemoryLeases
from cartrita.storage.valkey_answers import ValkeyShelf
from cartrita.storage.valkey_leases import ValkeyLeases
from cartrita.turns import Turns
from tests.support.asking import CATALOG, Ask, Oracle
from tests.support.records import ADA


class LeasesContract:
    """Subclass it with a fixture `leases`."""

    async def test_one_of_many_has_it_until_it_is_given_back(self, leases):
        key = new_id()
        marks = await asyncio.gather(*(leases.take(key, 60) for _ in range(8)))
        (mark,) = [mark for mark in marks if mark]
        assert await leases.held(key)
        await leases.give(key, mark)
        assert not await leases.held(key)
        assert await leases.take(key, 60)

    async def test_each_name_has_its_own(self, leases):
        assert await leases.take(new_id(), 60)
        assert await leases.take(new_id(), 60)

    async def test_nobody_gives_back_or_extends_what_is_another_s(self, leases):
        key = new_id()
        mark = await leases.take(key, 60)
        await leases.give(key, "another's")
        assert not await leases.extend(key, "another's", 60)
        assert await leases.held(key)
        assert await leases.extend(key, mark, 60)

    async def test_what_was_given_back_is_not_extended(self, leases):
        key = new_id()
        mark = await leases.take(key, 60)
        await leases.give(key, mark)
        assert not await leases.extend(key, mark, 60)
        assert not await leases.held(key)


class TestInMemoryLeases(LeasesContract):
    """In one process."""

    @pytest.fixture
    def clock(self):
        return ManualClock()

    @pytest.fixture
    def leases(self, clock):
        return InMemoryLeases(clock)

    async def test_one_ends_by_itself_unless_its_holder_comes_again(self, leases, clock):
        mark = await leases.take("k", 3)
        clock.advance(2)
        assert await leases.extend("k", mark, 3)
        clock.advance(2)
        assert await leases.held("k")
        clock.advance(1)
        assert not await leases.held("k")
        assert await leases.take("k", 3)


@pytest.mark.database
class TestValkeyLeases(LeasesContract):
    """In the embedded server."""

    @pytest.fixture
    async def leases(self, services):
        prefix = f"test:{new_id()}:"
        opened = ValkeyLeases(services.redis_url, SystemClock(), timeout=10, prefix=prefix)
        yield opened
        await opened.close()

    async def test_one_ends_by_itself(self, leases, services):
        from redis.asyncio import Redis

        key = new_id()
        mark = await leases.take(key, 60)
        async with Redis.from_url(services.redis_url) as valkey:
            assert 0 < await valkey.pttl(leases._prefix + key) <= 60_000
            await leases.extend(key, mark, 600)
            assert 60_000 < await valkey.pttl(leases._prefix + key) <= 600_000

    async def test_a_server_that_is_away_is_left_alone_for_a_while(self, tmp_path):
        clock = ManualClock()
        leases = ValkeyLeases(f"unix://{tmp_path}/nothing.sock", clock)
        with pytest.raises(ServiceUnavailable, match="Valkey is away"):
            await leases.take("k", 1)
        with pytest.raises(ServiceUnavailable, match="a moment ago"):
            await leases.held("k")
        await leases.close()


async def asked(oracle, count):
    """Wait until an oracle was asked so often."""
    async with asyncio.timeout(20):
        while len(oracle.asked) < count:  # noqa: ASYNC110 - it is asked through real sockets
            await asyncio.sleep(0.005)


class Host:
    """A process with a cache of its own before an oracle, and what all hosts share."""

    def __init__(self, oracle, shelf, leases, wait=20.0):
        clock = SystemClock()
        self.turns = Turns(leases, wait)
        self.answers = TieredAnswers(
            Terms(), clock, InMemoryShelf(clock), shelf=shelf, turns=self.turns
        )
        self.cache, self.oracle, self.context = Cache(self.answers), oracle, Context("t")

    async def settle(self):
        """Wait until nothing is left to do."""
        await self.answers.settle()
        while self.turns._giving:
            await asyncio.wait(tuple(self.turns._giving))

    async def ask(self, text="What?", seconds=60.0):
        clock = SystemClock()
        self.context = Context(
            "t", "ask.exact", ADA, clock=clock, deadline=clock.monotonic() + seconds
        )
        job = Job(CATALOG.task("ask.exact"), Ask(text=text), self.context)
        result = await self.cache(job, lambda job: self.oracle.answer(job.params, job.context))
        return result.text


class Unwell(InMemoryLeases):
    """Leases that cannot be reached."""

    async def take(self, key, seconds):
        raise ServiceUnavailable("away")


class HostsContract:
    """Subclass it with a fixture `shared`: a shelf and leases."""

    @pytest.fixture
    async def hosts(self, shared):
        """Give a function that starts hosts which ask one oracle."""
        started = []

        def start(*script, count=3):
            self.oracle = Oracle(*script)
            started.extend(Host(self.oracle, *shared) for _ in range(count))
            return started[-count:]

        yield start
        for host in started:
            await host.settle()

    async def begin(self, hosts):
        """Have one host work, and the others wait for it."""
        self.oracle.gate.clear()
        first = asyncio.create_task(hosts[0].ask())
        await self.oracle.began.wait()
        return [first, *(asyncio.create_task(host.ask()) for host in hosts[1:])]

    async def test_what_several_are_asked_at_once_is_worked_out_once(self, hosts):
        started = hosts()
        asking = await self.begin(started)
        done, _ = await asyncio.wait(asking, timeout=0.1)
        assert not done
        self.oracle.gate.set()
        assert await asyncio.gather(*asking) == ["An answer."] * 3
        assert self.oracle.asked == ["What?"]
        assert [host.context.given for host in started] == [False, True, True]
        assert [len(host.context.usages) for host in started] == [1, 0, 0]

    async def test_where_that_fails_each_works_for_itself(self, hosts):
        asking = await self.begin(hosts(AgentFailed("It broke."), "good"))
        self.oracle.gate.set()
        ends = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(ends[0], AgentFailed)
        assert ends[1:] == ["good", "good"]

    async def test_where_its_worker_is_cancelled_the_others_work(self, hosts):
        asking = await self.begin(hosts(count=2))
        asking[0].cancel()
        self.oracle.gate.set()
        assert await asking[1] == "An answer."
        assert len(self.oracle.asked) == 2

    async def test_a_host_that_died_is_not_waited_for(self, hosts, monkeypatch):
        monkeypatch.setattr(turns, "LEASE", 0.1)
        monkeypatch.setattr(turns, "BEAT", 60.0)  # it never says that it lives
        asking = await self.begin(hosts(count=2))
        self.oracle.gate.clear()
        await asked(self.oracle, 2)
        self.oracle.gate.set()
        assert await asyncio.gather(*asking) == ["An answer."] * 2

    async def test_a_host_that_works_longer_than_a_lease_keeps_it(self, hosts, shared, monkeypatch):
        monkeypatch.setattr(turns, "LEASE", 1.0)
        monkeypatch.setattr(turns, "BEAT", 0.1)
        leases, beats, enough = shared[1], [], asyncio.Event()
        extend = leases.extend

        async def counted(*told):
            beats.append(await extend(*told))
            if len(beats) > turns.LEASE / turns.BEAT:
                enough.set()
            return beats[-1]

        monkeypatch.setattr(leases, "extend", counted)
        asking = await self.begin(hosts(count=2))
        await asyncio.wait_for(enough.wait(), 20)
        self.oracle.gate.set()
        assert await asyncio.gather(*asking) == ["An answer."] * 2
        assert len(self.oracle.asked) == 1

    async def test_nobody_waits_longer_than_half_of_what_is_left(self, hosts):
        first, second = hosts(count=2)
        self.oracle.gate.clear()
        asking = asyncio.create_task(first.ask())
        await self.oracle.began.wait()
        late = asyncio.create_task(second.ask(seconds=0.4))
        await asked(self.oracle, 2)
        assert second.context.remaining() > 0
        self.oracle.gate.set()
        assert await asyncio.gather(asking, late) == ["An answer."] * 2

    async def test_other_questions_wait_for_nothing(self, hosts):
        first, second = hosts(count=2)
        self.oracle.gate.clear()
        asking = [asyncio.create_task(first.ask("a")), asyncio.create_task(second.ask("b"))]
        await asked(self.oracle, 2)
        self.oracle.gate.set()
        await asyncio.gather(*asking)

    async def test_a_lease_is_given_back_when_the_answer_is_there(self, hosts, shared):
        (host,) = hosts(count=1)
        await host.ask()
        question = host.cache.question(
            Job(CATALOG.task("ask.exact"), Ask(text="What?"), host.context)
        )
        await host.settle()
        shelf, leases = shared
        assert not await leases.held(question.key)
        assert await shelf.get(ADA.tenant, question.key)


class TestHostsOfOneProcess(HostsContract):
    @pytest.fixture
    def shared(self):
        clock = SystemClock()
        return InMemoryShelf(clock), InMemoryLeases(clock)

    async def test_without_leases_each_works_for_itself(self):
        clock, oracle = SystemClock(), Oracle()
        shared = InMemoryShelf(clock), Unwell(clock)
        hosts = [Host(oracle, *shared) for _ in range(2)]
        oracle.gate.clear()
        asking = [asyncio.create_task(host.ask()) for host in hosts]
        await asked(oracle, 2)
        oracle.gate.set()
        assert await asyncio.gather(*asking) == ["An answer."] * 2

    async def test_an_answer_is_looked_for_once_more_when_the_lease_is_gone(self):
        clock = SystemClock()
        shelf, leases = InMemoryShelf(clock), InMemoryLeases(clock)
        host, other = (
            TieredAnswers(
                Terms(), clock, InMemoryShelf(clock), shelf=shelf, turns=Turns(leases, 20)
            )
            for _ in range(2)
        )
        question = Question(Owner("shop", "ada"), "k")
        async with host.turn(question, 20) as first:
            assert first is None
            waiting = asyncio.create_task(_one(other, question))
            await asyncio.sleep(0)
            await host.keep(question, {"text": "here"}, None)
        assert (await waiting).result == {"text": "here"}


async def _one(answers, question):
    async with answers.turn(question, 20) as given:
        return given


@pytest.mark.database
class TestHostsOfOneValkey(HostsContract):
    @pytest.fixture
    async def shared(self, services):
        clock, prefix = SystemClock(), f"test:{new_id()}:"
        shelf = ValkeyShelf(services.redis_url, clock, timeout=10, prefix=prefix)
        leases = ValkeyLeases(services.redis_url, clock, timeout=10, prefix=f"{prefix}lease:")
        yield shelf, leases
        await shelf.close()
        await leases.close()
