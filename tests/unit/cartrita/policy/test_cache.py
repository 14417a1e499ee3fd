"""Who is given an answer that somebody else was given."""

import asyncio

import pytest

from cartrita.answers import Terms, TieredAnswers
from cartrita.clock import ManualClock
from cartrita.context import Context
from cartrita.errors import AgentFailed
from cartrita.policy.cache import Cache
from cartrita.policy.chain import Job
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import Preferences
from cartrita.storage.memory_answers import InMemoryMeanings, InMemoryShelf
from cartrita.telemetry.metrics import CACHE_LOOKUPS
from tests.support.asking import CATALOG, Ask, Oracle
from tests.support.fakes import WordEmbedder
from tests.support.records import ADA, EVE


class Desk:
    """A cache before an oracle."""

    def __init__(self, *script, least=0.7) -> None:
        self.clock, self.oracle = ManualClock(), Oracle(*script)
        self.embedder = WordEmbedder()

        async def embedder():
            return self.embedder

        self.answers = TieredAnswers(
            Terms(seconds=3600, least=least),
            self.clock,
            InMemoryShelf(self.clock),
            meanings=InMemoryMeanings(self.clock),
            embedder=embedder,
        )
        self.cache = Cache(self.answers)
        self.context = Context("t")

    async def ask(self, text="What?", kind="ask.alike", who=ADA, params=None, **context):
        hints = {k: context.pop(k) for k in ("cache", "quality_level", "streaming") if k in context}
        self.context = Context(
            "t", kind, who, preferences=Preferences(**hints), clock=self.clock, **context
        )
        job = Job(CATALOG.task(kind), Ask(text=text, **(params or {})), self.context)
        result = await self.cache(job, lambda job: self.oracle.answer(job.params, job.context))
        await self.answers.settle()
        return result.text


@pytest.fixture
def desk():
    return Desk()


async def test_the_same_question_is_answered_once_and_the_second_time_for_nothing(desk):
    assert await desk.ask() == "An answer."
    assert (desk.context.given, desk.context.measures) == (False, {})
    assert await desk.ask() == "An answer."
    assert desk.oracle.asked == ["What?"]
    assert (desk.context.given, desk.context.measures) == (True, {})
    assert desk.context.usages == []


@pytest.mark.parametrize(
    "other",
    [
        {"who": EVE},
        {"who": Principal("ada", "another-workspace")},
        {"kind": "ask.exact"},
        {"params": {"style": "ornate"}},
        {"quality_level": "best"},
    ],
    ids=["user", "tenant", "type", "parameters", "quality"],
)
async def test_nobody_who_asks_something_else_is_given_it(desk, other):
    await desk.ask()
    await desk.ask(**other)
    assert len(desk.oracle.asked) == 2


async def test_a_tenant_s_users_share_their_answers(desk):
    shop = [Principal(name, "shop") for name in ("ada", "eve")]
    await desk.ask(who=shop[0])
    await desk.ask(who=shop[1])
    assert len(desk.oracle.asked) == 1


async def test_a_parameter_that_has_its_default_is_the_same_as_none(desk):
    await desk.ask(params={"style": "plain"})
    await desk.ask()
    assert len(desk.oracle.asked) == 1


async def test_other_models_or_another_version_do_not_answer(desk):
    await desk.ask()
    desk.answers.models = "others"
    desk.cache = Cache(desk.answers)
    await desk.ask()
    assert len(desk.oracle.asked) == 2


async def test_an_answer_is_kept_for_as_long_as_its_task_says(desk):
    await desk.ask(kind="ask.exact")
    desk.clock.advance(59)
    await desk.ask(kind="ask.exact")
    assert len(desk.oracle.asked) == 1
    desk.clock.advance(1)
    await desk.ask(kind="ask.exact")
    assert len(desk.oracle.asked) == 2


async def test_a_question_that_means_the_same_has_the_same_answer(desk):
    await desk.ask("how do i open a new account here")
    assert await desk.ask("how do i open a new account") == "An answer."
    assert len(desk.oracle.asked) == 1
    assert 0.9 < desk.context.measures["cacheLikeness"] < 1
    await desk.ask("what is the weather like")
    assert len(desk.oracle.asked) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("what is 15 percent of 240 dollars", "what is 16 percent of 240 dollars"),
        ("how do i get from Rome to the sea", "how do i get from Oslo to the sea"),
        ("what should one do in the rain", "what should one not do in the rain"),
        ("is it true that you can fly", "is it true that you can't fly"),
        ("write to ada@x.org about the new plan", "write to bob@x.org about the new plan"),
    ],
)
async def test_numbers_names_and_negations_must_be_the_same(first, second):
    desk = Desk(least=0.5)
    await desk.ask(first)
    await desk.ask(second)
    assert len(desk.oracle.asked) == 2


async def test_a_question_with_personal_data_is_compared_with_no_other():
    desk = Desk()
    await desk.ask("i am ada@x.org what is my plan now")
    await desk.ask("i am ada@x.org now what is my plan")
    assert len(desk.oracle.asked) == 2
    assert desk.embedder.asked == []


async def test_only_tasks_that_say_so_are_compared_by_meaning(desk):
    await desk.ask("how do i open a new account here", kind="ask.exact")
    await desk.ask("how do i open a new account", kind="ask.exact")
    assert len(desk.oracle.asked) == 2


async def test_what_its_condition_leaves_out_is_neither_kept_nor_given(desk):
    for _ in range(2):
        await desk.ask(params={"history": ["before"]})
    assert len(desk.oracle.asked) == 2


async def test_who_wants_it_anew_gets_that_and_others_the_new_one():
    desk = Desk("old", "new")
    await desk.ask()
    assert await desk.ask(cache="refresh") == "new"
    assert await desk.ask() == "new"
    assert len(desk.oracle.asked) == 2


async def test_what_may_not_be_stored_is_not_and_no_other_is_given_for_it():
    desk = Desk("private", "public")
    assert await desk.ask(cache="off") == "private"
    assert await desk.ask() == "public"
    assert await desk.ask(cache="off") == "public"
    assert len(desk.oracle.asked) == 3


def _warned(ctx):
    ctx.warn("It is only half of it.")
    return "half"


def _unstorable(ctx):
    ctx.storable = False
    return "now"


@pytest.mark.parametrize("bad", [_warned, _unstorable], ids=["warned", "unstorable"])
async def test_an_answer_that_holds_for_one_only_is_not_kept(bad):
    desk = Desk(bad, "good")
    await desk.ask()
    assert await desk.ask() == "good"


async def test_an_answer_that_was_made_to_save_money_is_not_kept(desk):
    await desk.ask(pressure=0.8)
    await desk.ask(pressure=0.8)
    assert len(desk.oracle.asked) == 2


async def test_a_failure_is_not_kept():
    desk = Desk(AgentFailed("It broke."), "good")
    with pytest.raises(AgentFailed):
        await desk.ask()
    assert await desk.ask() == "good"


async def begin(desk, count, **more):
    desk.oracle.gate.clear()
    tasks = [asyncio.create_task(desk.ask(**more)) for _ in range(count)]
    await desk.oracle.began.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    return tasks


async def test_who_asks_while_it_is_worked_on_waits_for_that(desk):
    tasks = await begin(desk, 5)
    desk.oracle.gate.set()
    assert await asyncio.gather(*tasks) == ["An answer."] * 5
    assert len(desk.oracle.asked) == 1


async def test_when_that_fails_each_works_for_itself():
    desk = Desk(AgentFailed("It broke."), "good")
    tasks = await begin(desk, 3)
    desk.oracle.gate.set()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(ends[0], AgentFailed)
    assert ends[1:] == ["good", "good"]


async def test_when_its_worker_is_cancelled_another_goes_on(desk):
    tasks = await begin(desk, 3)
    tasks[0].cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(desk.oracle.asked) == 2  # not three: the third waits for the second
    desk.oracle.gate.set()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1:] == ["An answer."] * 2


async def test_one_who_waits_and_is_cancelled_takes_nobody_along(desk):
    tasks = await begin(desk, 3)
    tasks[1].cancel()
    desk.oracle.gate.set()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(ends[1], asyncio.CancelledError)
    assert [ends[0], ends[2]] == ["An answer."] * 2
    assert len(desk.oracle.asked) == 1


class Heard:
    """A reach that keeps what is said."""

    used = False

    def __init__(self):
        self.said = []

    async def say(self, item):
        self.said.append(item.text)

    def note(self, use):
        pass


async def test_readers_of_a_stream_are_shown_a_given_answer_at_once(desk):
    await desk.ask()
    reach = Heard()
    await desk.ask(streaming=True, reach=reach)
    assert reach.said == ["An answer."]


async def test_what_is_forgotten_is_worked_out_again(desk):
    await desk.ask()
    assert await desk.answers.forget(user="ada") == 2  # here, and by meaning
    await desk.ask()
    assert len(desk.oracle.asked) == 2


async def test_hits_and_misses_are_counted(desk):
    def counts():
        found = {
            sample.labels["outcome"]: sample.value
            for family in CACHE_LOOKUPS.collect()
            for sample in family.samples
            if sample.name.endswith("_total") and sample.labels["task_type"] == "ask.alike"
        }
        return [found.get(name, 0) for name in ("missed", "memory", "meaning", "passed_by")]

    before = counts()
    await desk.ask("how do i open a new account here")
    await desk.ask("how do i open a new account here")
    await desk.ask("how do i open a new account")
    await desk.ask(cache="off")
    assert [b - a for a, b in zip(before, counts(), strict=True)] == [1, 1, 1, 1]
