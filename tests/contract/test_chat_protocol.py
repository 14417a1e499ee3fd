"""Conversations against a server on a real socket that speaks OpenAI's protocol.

What one call sends and makes of its answer is tested in tests/integration/test_openai_compatible.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from actors import attempt as attempt_module
from actors.local import local_tree
from cartrita import calling
from cartrita.catalog import Catalog
from cartrita.clock import SystemClock, new_id
from cartrita.context import Context
from cartrita.conversation import Said, converse
from cartrita.cost.price import metered
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.errors import NetworkFailed, Reason, TaskTimeout
from cartrita.protocol.task import Preferences
from cartrita.providers.chat_models import chat_models
from cartrita.providers.guarded import Flow
from cartrita.providers.ports import ChatModels
from cartrita.providers.routing import Rules
from cartrita.services import Services
from cartrita.storage.circuits import FAILURES
from cartrita.storage.memory_circuits import InMemoryCircuits
from cartrita.storage.valkey_circuits import ValkeyCircuits
from tests.support.openai_server import Call, Cut, Fail, Hang, Say, Wait, echo, serving
from tests.support.records import ADA
from tests.support.stage import begin, submit
from tests.support.troupe import told

CEILING = metered("1", 100_000)
SOON = {"retry-after": "0.01"}


@asynccontextmanager
async def models(server, *fallbacks, circuits=None, **options):
    """Open chat models at a server; each block is what one host has."""
    chosen = {name: options.pop(name) for name in ("hedge_after", "most") if name in options}
    flow = Flow(circuits or InMemoryCircuits(), **chosen)
    rules = Rules("gpt-4o", fallbacks)
    opened = chat_models(
        api_key="sk-test", base_url=server.base_url, rules=rules, flow=flow, **options
    )
    try:
        yield opened
    finally:
        await opened.close()
        await flow.close()


async def ask(opened, ctx=None, text="Hello", name=None, tools=(), **options):
    said = [Said("user", text)]
    return await converse(opened.open(name), said, tools, ctx or Context("t"), CEILING, **options)


def asked(server):
    return [request["model"] for request in server.requests]


class Ears:
    """A reach that keeps what is said."""

    used = False

    def __init__(self):
        self.heard = []

    async def say(self, item):
        self.heard.append(item.text)

    def note(self, use):
        pass


class TestWhoAnswers:
    @pytest.mark.parametrize("failure", [Fail(503, headers=SOON), Fail(429, headers=SOON), Cut()])
    async def test_the_fallback_when_the_first_fails_twice(self, failure):
        ctx = Context("t")
        async with (
            serving(failure, failure, Say("Here.")) as server,
            models(server, "gpt-4o-mini") as opened,
        ):
            reply = await ask(opened, ctx)
        assert (reply.text, reply.info.model) == ("Here.", "gpt-4o-mini")
        assert asked(server) == ["gpt-4o", "gpt-4o", "gpt-4o-mini"]
        assert ctx.usages[-1].usd == Decimal("0.000009")
        assert ctx.warnings[0].startswith("'gpt-4o-mini' answered instead: ")

    async def test_the_fallback_at_once_when_the_model_is_not_served(self):
        async with (
            serving(Fail(404), Say("Here.")) as server,
            models(server, "gpt-4o-mini") as opened,
        ):
            assert (await ask(opened)).info.model == "gpt-4o-mini"

    async def test_nobody_else_when_the_caller_named_the_model(self):
        async with (
            serving(*[Fail(503, headers=SOON)] * 2) as server,
            models(server, "gpt-4o-mini") as opened,
        ):
            with pytest.raises(NetworkFailed):
                await ask(opened, name="gpt-4o")

    async def test_a_cheaper_one_near_the_end_of_a_budget_which_is_said(self):
        ctx = Context("t", pressure=0.75)
        async with serving(echo) as server, models(server) as opened:
            reply = await ask(opened, ctx, name="gpt-4")
        assert reply.info.model == "gpt-4o-mini"
        assert ctx.warnings == [
            "'gpt-4o-mini' answers in place of 'gpt-4': 75% of a budget is used."
        ]

    async def test_the_one_that_suits_the_caller_s_wishes(self):
        best, fast = (
            Context("t", preferences=Preferences(quality_level=level)) for level in ("best", "fast")
        )
        async with serving(echo) as server, models(server, "gpt-4o-mini") as opened:
            await ask(opened, best, name="auto")
            await ask(opened, fast, name="auto")
        assert asked(server) == ["gpt-4o", "gpt-4o-mini"]

    async def test_no_longer_one_that_was_measured_to_be_slow(self):
        fast = Preferences(quality_level="fast")
        slow = {"gpt-4o-mini": 0.15, "gpt-4o": 0.0}

        def answer(request):
            return Wait(slow[request.body["model"]], Say("Hi."))

        async with serving(answer) as server, models(server, "gpt-4o-mini") as opened:
            for name in ("gpt-4o", "gpt-4o-mini") * 3:
                await ask(opened, name=name)
            await ask(opened, Context("t", preferences=fast), name="auto")
        assert asked(server)[-1] == "gpt-4o"


class TestTrouble:
    async def test_a_provider_says_when_to_come_again_and_that_is_when(self):
        async with (
            serving(Fail(429, headers={"retry-after": "0.3"}), Say("Now.")) as server,
            models(server) as opened,
        ):
            assert (await ask(opened)).text == "Now."
        first, second = server.seen
        assert second.at - first.answered_at >= 0.3

    async def test_a_pause_past_the_deadline_is_not_begun(self):
        async with (
            serving(Fail(429, headers={"retry-after": "10"})) as server,
            models(server) as opened,
        ):
            ctx = Context("t", deadline=SystemClock().monotonic() + 5)
            with pytest.raises(NetworkFailed) as caught:
                await ask(opened, ctx)
        assert caught.value.retry_after == 10
        assert caught.value.reason == Reason.PROVIDER_BUSY

    async def test_a_provider_that_hangs_is_left_for_the_fallback(self):
        def answer(request):
            return Hang() if request.body["model"] == "gpt-4o" else Say("Here.")

        async with (
            serving(answer) as server,
            models(server, "gpt-4o-mini", timeout=0.1) as opened,
        ):
            assert (await ask(opened)).text == "Here."
            assert [bool(request.left_at) for request in server.seen] == [True, True, False]

    async def test_a_hanging_provider_ends_with_the_deadline_and_its_socket_with_it(self):
        async with serving(Hang()) as server, models(server) as opened:
            ctx = Context("t", deadline=SystemClock().monotonic() + 1.0)
            with pytest.raises(TaskTimeout):
                await ask(opened, ctx)
            await asyncio.wait_for(server.seen[0].left.wait(), 5)

    async def test_beside_a_slow_call_another_one_answers_and_the_slow_one_is_closed(self):
        ctx = Context("t")
        async with (
            serving(Hang(), Say("Quick.", tokens=(10, 5))) as server,
            models(server, hedge_after=0.05) as opened,
        ):
            assert (await ask(opened, ctx)).text == "Quick."
            await asyncio.wait_for(server.seen[0].left.wait(), 5)
        assert sorted(usage.failed for usage in ctx.usages) == [False, True]
        assert all(usage.usd > 0 for usage in ctx.usages)

    async def test_as_many_calls_go_out_at_once_as_the_provider_may_get(self):
        together, most = Counter(), []

        def answer(request):
            together["now"] = sum(not seen.answered_at for seen in server.seen)
            most.append(together["now"])
            return Wait(0.02, Say("Hi."))

        async with serving(answer) as server, models(server, most=4) as opened:
            await asyncio.gather(*(ask(opened) for _ in range(20)))
        assert max(most) == 4


class TestCircuits:
    @pytest.fixture(params=["memory", pytest.param("valkey", marks=pytest.mark.database)])
    async def shared(self, request):
        """Give two hosts their circuits."""
        if request.param == "memory":
            circuits = InMemoryCircuits()
            return [circuits, circuits]
        url, prefix = request.getfixturevalue("services").redis_url, f"test:{new_id()}:"
        return [ValkeyCircuits(url, timeout=10, prefix=prefix) for _ in range(2)]

    async def test_a_model_that_fails_on_one_host_is_left_alone_by_the_other(self, shared):
        def answer(request):
            return Fail(503, headers=SOON) if request.body["model"] == "gpt-4o" else Say("Here.")

        one, other = shared
        async with (
            serving(answer) as server,
            models(server, "gpt-4o-mini", circuits=one) as here,
            models(server, "gpt-4o-mini", circuits=other) as there,
        ):
            for _ in range(FAILURES):
                await ask(here)
            assert asked(server).count("gpt-4o") == FAILURES
            reply = await ask(there)
            assert asked(server).count("gpt-4o") == FAILURES
            assert reply.info.model == "gpt-4o-mini"
            with pytest.raises(NetworkFailed, match="left alone") as caught:
                await ask(there, name="gpt-4o")
        assert caught.value.reason == Reason.CIRCUIT_OPEN


class TestStreams:
    async def test_the_reply_and_the_usage_are_the_same_either_way(self):
        replies, usages, ears = [], [], Ears()
        for stream in (False, True):
            ctx = Context("t", reach=ears)
            async with (
                serving(Say("One two three.", tokens=(11, 7))) as server,
                models(server) as opened,
            ):
                replies.append(await ask(opened, ctx, stream=stream))
            usages.append([(use.tokens_in, use.tokens_out, use.usd) for use in ctx.usages])
        assert replies[0] == replies[1]
        assert usages[0] == usages[1] == [[(11, 7, Decimal("0.00016"))]][0]
        assert "".join(ears.heard) == "One two three."
        assert ("stream" in server.requests[0], ctx.warnings) == (True, [])

    async def test_tools_are_called_in_a_streamed_conversation_too(self):
        from langchain_core.tools import tool

        @tool
        async def double(number: int) -> str:
            """Double a number."""
            return str(2 * number)

        ears = Ears()
        steps = Call("double", {"number": 21}, tokens=(8, 4)), Say("It is 42.", tokens=(9, 3))
        ctx = Context("t", reach=ears)
        async with serving(*steps) as server, models(server) as opened:
            reply = await ask(opened, ctx, tools=[double], stream=True)
        assert (reply.text, reply.calls[0].output) == ("It is 42.", "42")
        assert "".join(ears.heard) == "It is 42."
        assert [(use.tokens_in, use.tokens_out) for use in ctx.usages] == [(8, 4), (9, 3)]

    @pytest.mark.parametrize("stream", [False, True])
    async def test_what_a_model_says_in_declining_is_its_answer(self, stream):
        ears = Ears()
        async with (
            serving(Say("", refusal="I will not do that.")) as server,
            models(server) as opened,
        ):
            reply = await ask(opened, Context("t", reach=ears), stream=stream)
        assert (reply.text, reply.refused) == ("I will not do that.", True)
        assert "".join(ears.heard) == (reply.text if stream else "")

    async def test_a_stream_cut_before_its_first_word_is_begun_again(self):
        ears = Ears()
        async with serving(Cut(), Say("Whole.")) as server, models(server) as opened:
            reply = await ask(opened, Context("t", reach=ears), stream=True)
        assert (reply.text, "".join(ears.heard)) == ("Whole.", "Whole.")

    async def test_a_stream_cut_after_words_fails_and_what_came_is_charged(self):
        ears, said = Ears(), "Half of it"
        ctx = Context("t", reach=ears)
        async with serving(Cut(said)) as server, models(server, "gpt-4o-mini") as opened:
            with pytest.raises(NetworkFailed, match="hung up"):
                await ask(opened, ctx, stream=True)
        assert "".join(ears.heard) == said
        (use,) = ctx.usages
        assert use.failed
        assert use.tokens_in > 0
        assert use.tokens_out == -(-len(said) // calling.BYTES_PER_TOKEN)
        assert use.usd == (5 * use.tokens_in + 15 * use.tokens_out) * Decimal("0.000001")
        assert ctx.warnings == ["An answer broke off; what it cost is an estimate."]


class Talker(Agent, team="intelligence"):
    """Passes on what a model says."""

    def __init__(self, opened: ChatModels) -> None:
        self._models = opened

    @task("test.talk", idempotent=True, cost=CEILING, timeout=20)
    async def talk(self, params: Params, ctx: Context) -> ModelResult:
        """Have a model answer."""
        reply = await converse(
            self._models.open(None), [Said("user", "Hi")], [], ctx, CEILING, stream=True
        )
        return ModelResult(**reply.info.fields())


@asynccontextmanager
async def tree_with(opened):
    folder = Path(tempfile.mkdtemp(prefix="ctc-", dir="/tmp"))
    try:
        services = Services({ChatModels: lambda _: opened})
        async with local_tree(Catalog.of([Talker]), services, folder) as tree:
            yield tree
    finally:
        shutil.rmtree(folder)


class TestThroughTheTree:
    @pytest.fixture(autouse=True)
    def _hasty(self, monkeypatch):
        monkeypatch.setattr(attempt_module, "FIRST_REST", 0.001)

    async def test_after_a_cut_the_readers_forget_and_hear_it_all_from_the_next_attempt(self):
        async with (
            serving(Cut("Half of"), Say("All of it.", tokens=(9, 4))) as server,
            models(server) as opened,
            tree_with(opened) as tree,
        ):
            answer = await submit(tree.door, "test.talk", parameters={})
            events = await told(tree, answer["taskId"], ADA)
        said = [
            event["data"]["text"] if event["type"] == "token" else event["type"]
            for event in events
            if event["type"] in ("token", "retry", "reset", "completed")
        ]
        reset = said.index("reset")
        assert "".join(said[: reset - 1]) == "Half of"
        assert "".join(said[reset + 1 : -1]) == "All of it."
        assert answer["metrics"]["tokensUsed"] > 13  # both attempts are charged
        assert answer["metrics"]["retryCount"] == 1

    async def test_cancelling_a_task_closes_the_provider_s_socket_at_once(self):
        def answer(request):
            return Hang("Once upon") if len(server.seen) == 1 else Say("Hi.")

        async with (
            serving(answer) as server,
            models(server) as opened,
            tree_with(opened) as tree,
        ):
            task_id = new_id()
            ends = begin(tree.door, "test.talk", parameters={}, task_id=task_id)
            request = await server.came(1)
            await tree.door.cancel(task_id, ADA)
            assert (await ends)["status"] == "CANCELLED"
            await submit(tree.door, "test.talk", parameters={})
            assert request.left_at is not None
            assert request.left_at < server.seen[1].at
