"""A host and its supervisor over a channel: what attempts say, call for and are fed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.hosting import HostSpec
from actors.reach import MOST_CALLS
from actors.worker import WorkerHost
from cartrita.catalog import Catalog
from cartrita.channel.address import Address
from cartrita.channel.client import Exchange, connect
from cartrita.channel.frames import CREDIT
from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task
from cartrita.errors import InvalidMessage, InvalidTaskType, NotFound
from cartrita.services import Services
from cartrita.stream import Progress, Token
from tests.support.records import record


class Say(Params):
    """How often."""

    count: int = 3


class Said(Result):
    """What came of it."""

    text: str


class Teller(Agent, team="system"):
    """Says things."""

    @task("teller.stream", idempotent=True)
    async def stream(self, params: Say, ctx: Context) -> AsyncIterator[Token | Progress | Said]:
        """Count as a generator."""
        yield Progress(0.0, "begins")
        for number in range(params.count):
            yield Token(f"{number} ")
        yield Said(text="done")

    @task("teller.coroutine", idempotent=True)
    async def coroutine(self, params: Say, ctx: Context) -> Said:
        """Count as a coroutine."""
        await ctx.progress(0.0, "begins")
        for number in range(params.count):
            await ctx.token(f"{number} ")
        await ctx.tool("count", params.count)
        return Said(text="done")

    @task("teller.flood")
    async def flood(self, params: Say, ctx: Context) -> Said:
        """Say more than fits."""
        for number in range(params.count):
            await ctx.progress(number / params.count)
        return Said(text="done")

    @task("teller.mute")
    async def mute(self, params: Say, ctx: Context) -> AsyncIterator[Token | Said]:
        """Forget the result."""
        yield Token("a")

    @task("teller.endless")
    async def endless(self, params: Say, ctx: Context) -> AsyncIterator[Token | Said]:
        """Say something after the result."""
        yield Said(text="done")
        yield Token("a")


class Caller(Agent, team="system"):
    """Calls others."""

    @task("caller.one")
    async def one(self, params: Say, ctx: Context) -> Said:
        """Call once."""
        told = await ctx.call("other.task", {"a": 1}, timeout=5.0, priority=7)
        return Said(text=told["text"])

    @task("caller.many")
    async def many(self, params: Say, ctx: Context) -> Said:
        """Call at once."""
        calls = [ctx.call("other.task", Say(count=n)) for n in range(params.count)]
        told = await asyncio.gather(*calls)
        return Said(text=" ".join(one["text"] for one in told))


class Listener(Agent, team="system"):
    """Listens."""

    @task("listener.hear", takes_stream=True, idle_timeout=5.0)
    async def hear(self, params: Say, ctx: Context) -> Said:
        """Join what comes."""
        stream = ctx.incoming()
        heard = [piece async for piece in stream]
        return Said(text=f"{stream.content_type} {heard!r}")

    @task("listener.doze", takes_stream=True, idle_timeout=0.01)
    async def doze(self, params: Say, ctx: Context) -> Said:
        """Wait in vain."""
        await anext(ctx.incoming())
        raise AssertionError

    @task("listener.deaf")
    async def deaf(self, params: Say, ctx: Context) -> Said:
        """Listen without having said so."""
        await anext(ctx.incoming())
        raise AssertionError


SPEC = HostSpec("system/0.shared.0.1", ("teller", "caller", "listener"), epoch=5, token="the token")


class Supervisor:
    """The other end of the channel, in the hands of the test."""

    def __init__(self, channel):
        self._channel = channel
        self.heard = asyncio.Queue()
        self.events = []
        self.exchange = Exchange(self._hear)

    def _hear(self, event):
        self.events.append(event)
        self.heard.put_nowait(event)

    def run(self, name, attempt=1, timeout=10.0, task_id=None, **params):
        fields = {"task_id": task_id} if task_id else {}
        work = record(task_type=f"{name}", params=params, **fields)
        payload = [work.pack(), attempt, timeout]
        return asyncio.create_task(
            self._channel.request("run", payload, timeout + 5, None, self.exchange)
        )

    async def next(self):
        async with asyncio.timeout(5):
            return await self.heard.get()

    async def begin(self, *args, **params):
        """Have sent it before anything that follows."""
        running = self.run(*args, **params)
        await asyncio.sleep(0)
        return running

    def ask(self, method, *payload):
        return self._channel.request(method, list(payload), 5)


@pytest.fixture
async def host(tmp_path):
    one = WorkerHost(SPEC, Catalog.of([Teller, Caller, Listener]), Services({}))
    one.address = await one.start(Address.unix(tmp_path / "s"))
    yield one
    await one.stop()


@pytest.fixture
async def supervisor(host):
    channel = await connect(host.address, token=SPEC.token, peer="system/0", epoch=SPEC.epoch)
    yield Supervisor(channel)
    channel.close()


async def test_without_anybody_who_listens_it_works_all_the_same_but_cannot_call(host):
    told = await host.run(record(task_type="teller.coroutine", params={}), 1, 10.0)
    assert told["status"] == "COMPLETED"
    told = await host.run(record(task_type="caller.one", params={}), 1, 10.0)
    assert told["errorCode"] == "INTERNAL_ERROR"


class TestSaying:
    @pytest.mark.parametrize("name", ["teller.stream", "teller.coroutine"])
    async def test_what_it_says_comes_in_order_and_before_its_outcome(self, supervisor, name):
        outcome = await supervisor.run(name, count=4)
        assert outcome["result"] == {"text": "done"}
        assert supervisor.events[:2] == [
            ["progress", {"fraction": 0.0, "text": "begins"}],
            ["token", {"text": "0 1 2 3 "}],
        ]
        tool = ["tool", {"name": "count", "input": 4, "output": None}]
        assert supervisor.events[2:] == ([tool] if name == "teller.coroutine" else [])

    async def test_a_supervisor_that_takes_no_more_holds_it_back(self, supervisor):
        running = supervisor.run("teller.flood", count=CREDIT + 20)
        heard = [await supervisor.next() for _ in range(CREDIT)]
        await supervisor.ask("ping")
        assert supervisor.heard.empty()
        assert not running.done()
        supervisor.exchange.grant(100)
        assert (await running)["status"] == "COMPLETED"
        heard += [await supervisor.next() for _ in range(20)]
        assert [data["fraction"] * (CREDIT + 20) for _, data in heard] == pytest.approx(
            range(CREDIT + 20)
        )

    async def test_what_could_not_be_shown_in_time_is_a_warning(self, supervisor):
        outcome = await supervisor.run("teller.flood", timeout=0.3, count=CREDIT + 3)
        assert outcome["status"] == "COMPLETED"
        assert outcome["warnings"] == ["Not everything it said could be shown in time."]
        assert len(supervisor.events) == CREDIT

    @pytest.mark.parametrize(
        ("name", "why"), [("teller.mute", "without yielding a Said"), ("teller.endless", "after")]
    )
    async def test_a_generator_without_a_result_at_its_end_has_failed(self, supervisor, name, why):
        outcome = await supervisor.run(name)
        assert (outcome["status"], outcome["errorCode"]) == ("FAILED", "AGENT_ERROR")
        assert why in outcome["errorMessage"]


class TestCalling:
    async def test_a_call_goes_out_and_its_answer_comes_back(self, supervisor):
        running = supervisor.run("caller.one", task_id="t1", attempt=2)
        options = {"timeout": 5.0, "priority": 7}
        assert await supervisor.next() == ["call", [0, "other.task", {"a": 1}, options]]
        response = {"taskId": "c1", "status": "COMPLETED", "result": {"text": "hello"}}
        await supervisor.ask("resume", "t1", 2, 0, {"response": response})
        assert (await running)["result"] == {"text": "hello"}

    async def test_calls_of_one_attempt_are_numbered_and_answered_in_any_order(self, supervisor):
        running = supervisor.run("caller.many", task_id="t1", count=3)
        calls = [(await supervisor.next())[1] for _ in range(3)]
        assert [(index, params) for index, _, params, _ in calls] == [
            (n, {"count": n}) for n in range(3)
        ]
        for n in (2, 0, 1):
            response = {"taskId": "c", "status": "COMPLETED", "result": {"text": str(n)}}
            await supervisor.ask("resume", "t1", 1, n, {"response": response})
        assert (await running)["result"] == {"text": "0 1 2"}

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            ("FAILED", "AGENT_ERROR"),
            ("FAILED", "NETWORK_ERROR"),
            ("CANCELLED", "TASK_CANCELLED"),
            ("TIMEOUT", "TASK_TIMEOUT"),
        ],
    )
    async def test_a_sub_task_that_failed_fails_its_parent_in_the_same_way(
        self, supervisor, status, code
    ):
        running = supervisor.run("caller.one", task_id="t1")
        await supervisor.next()
        response = {"taskId": "c1", "status": status, "errorCode": code}
        response |= {"errorMessage": "broke", "reason": "WHY"}
        await supervisor.ask("resume", "t1", 1, 0, {"response": response})
        outcome = await running
        assert (outcome["status"], outcome["errorCode"]) == (status, code)
        assert outcome["reason"] == "WHY"
        assert "'c1'" in outcome["errorMessage"]
        assert "broke" in outcome["errorMessage"]

    async def test_a_sub_task_that_is_refused_fails_its_parent(self, supervisor):
        running = supervisor.run("caller.one", task_id="t1")
        await supervisor.next()
        error = InvalidTaskType("There is no other.task").to_wire()
        await supervisor.ask("resume", "t1", 1, 0, {"error": error})
        outcome = await running
        assert outcome["errorCode"] == "INVALID_TASK_TYPE"
        assert outcome["errorMessage"] == "There is no other.task"

    async def test_more_calls_than_may_wait_are_refused(self, supervisor):
        outcome = await supervisor.run("caller.many", count=MOST_CALLS + 1)
        assert outcome["errorCode"] == "RESOURCE_LIMIT_EXCEEDED"
        assert str(MOST_CALLS) in outcome["errorMessage"]

    async def test_an_answer_that_nobody_waits_for_is_dropped(self, supervisor):
        running = supervisor.run("caller.one", task_id="t1")
        await supervisor.next()
        late = {"response": {"status": "COMPLETED"}}
        await supervisor.ask("resume", "t1", 1, 7, late)
        with pytest.raises(NotFound, match="Attempt 2"):
            await supervisor.ask("resume", "t1", 2, 0, late)
        with pytest.raises(NotFound, match="'t2'"):
            await supervisor.ask("resume", "t2", 1, 0, late)
        assert not running.done()
        running.cancel()


class TestFeeding:
    async def test_what_is_fed_in_is_what_the_agent_hears(self, supervisor):
        running = await supervisor.begin("listener.hear", task_id="t1")
        await supervisor.ask("feed", "t1", "start", 0, "audio/wav")
        await supervisor.ask("feed", "t1", "data", 1, b"\x01")
        await supervisor.ask("feed", "t1", "data", 1, b"\x01")
        await supervisor.ask("feed", "t1", "data", 2, [2])
        await supervisor.ask("feed", "t1", "end", 3, None)
        assert (await running)["result"] == {"text": r"audio/wav [b'\x01', [2]]"}

    async def test_pieces_may_be_sent_without_waiting_for_each(self, supervisor):
        running = await supervisor.begin("listener.hear", task_id="t1")
        kinds = ["start", *["data"] * 100, "end"]
        feeds = [supervisor.ask("feed", "t1", kind, n, n) for n, kind in enumerate(kinds)]
        await asyncio.gather(*feeds)
        assert (await running)["result"] == {"text": f"0 {list(range(1, 101))!r}"}

    async def test_a_stream_on_which_nothing_comes_times_the_task_out(self, supervisor):
        outcome = await supervisor.run("listener.doze")
        assert (outcome["status"], outcome["reason"]) == ("TIMEOUT", "STREAM_IDLE")

    async def test_a_task_that_does_not_take_a_stream_neither_reads_nor_gets_one(self, supervisor):
        outcome = await supervisor.run("listener.deaf")
        assert outcome["errorCode"] == "INVALID_MESSAGE_FORMAT"
        running = await supervisor.begin("caller.one", task_id="t1")
        with pytest.raises(InvalidMessage, match=r"'caller\.one' takes no stream"):
            await supervisor.ask("feed", "t1", "start", 0, None)
        running.cancel()

    async def test_a_task_that_is_not_there_is_not_found(self, supervisor):
        with pytest.raises(NotFound, match="'t1'"):
            await supervisor.ask("feed", "t1", "start", 0, None)
