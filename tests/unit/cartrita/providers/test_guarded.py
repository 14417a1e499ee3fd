"""Tests of cartrita/providers/guarded.py: in turn, again, a second time beside a slow call."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartrita.clock import ManualClock
from cartrita.errors import AgentFailed, NetworkFailed, RateLimitExceeded, Reason
from cartrita.providers.guarded import MOST_LANES, Flow, Guarded
from cartrita.providers.throttle import Throttle
from cartrita.storage.circuits import FAILURES, REST
from cartrita.storage.memory_circuits import InMemoryCircuits
from cartrita.telemetry.metrics import REGISTRY

SOON = 0.001
GONE = NetworkFailed("gone", retry_after=SOON)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def flow(clock):
    return Flow(InMemoryCircuits(), most=8, clock=clock)


class Script:
    """A provider that answers, fails, or hangs as it is told."""

    def __init__(self, *steps):
        self.steps, self.calls, self.cancelled = list(steps), 0, 0
        self.last = asyncio.Event()

    async def __call__(self):
        self.calls += 1
        step = self.steps.pop(0)
        if not self.steps:
            self.last.set()
        if isinstance(step, Exception):
            raise step
        try:
            return await step.wait() if isinstance(step, asyncio.Event) else step
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def metric(name, provider, **labels):
    return REGISTRY.get_sample_value(f"cartrita_mcp_{name}", {"provider": provider, **labels})


async def test_a_failing_network_is_asked_once_more(flow):
    script = Script(GONE, "here")
    assert (await Guarded(flow.lane("p")).call(script)).answer == "here"
    assert script.calls == 2


async def test_who_wants_us_to_wait_longer_than_we_have_is_not_asked_again(flow):
    for error in (NetworkFailed("busy", retry_after=3.0), RateLimitExceeded("no", retry_after=60)):
        script = Script(error)
        with pytest.raises(type(error)) as caught:
            await Guarded(flow.lane("p"), patience=2.0).call(script)
        assert caught.value is error
        assert script.calls == 1


async def test_what_a_provider_refuses_is_not_asked_again(flow):
    script = Script(AgentFailed("no"))
    with pytest.raises(AgentFailed):
        await Guarded(flow.lane("p")).call(script)
    assert script.calls == 1


async def test_an_open_circuit_is_named_and_says_when_again_and_nobody_is_asked(flow):
    guard = Guarded(flow.lane("tavily"), patience=0.0)
    for _ in range(FAILURES):
        with pytest.raises(NetworkFailed, match="gone"):
            await guard.call(Script(NetworkFailed("gone")))
    script = Script()
    with pytest.raises(NetworkFailed, match="'tavily'") as caught:
        await guard.call(script)
    assert (caught.value.reason, script.calls) == (Reason.CIRCUIT_OPEN, 0)
    assert 0 < caught.value.retry_after <= REST
    assert metric("provider_circuits_open", "tavily") == 1


async def test_a_rate_limit_opens_no_circuit_but_shrinks_the_window(flow):
    guard = Guarded(flow.lane("limited"), patience=0.0)
    for _ in range(FAILURES * 2):
        with pytest.raises(RateLimitExceeded):
            await guard.call(Script(RateLimitExceeded("less", retry_after=9)))
    assert (await guard.call(Script("here"))).answer == "here"
    assert metric("provider_limit", "limited") < 8


async def test_a_slow_call_has_another_beside_it_and_the_first_answer_counts(flow):
    script = Script(asyncio.Event(), "second")
    called = await Guarded(flow.lane("p"), hedge_after=0.01).call(script)
    assert (called.answer, called.calls, script.cancelled) == ("second", 2, 1)


async def test_a_quick_call_has_none(flow):
    called = await Guarded(flow.lane("p"), hedge_after=5).call(Script("first"))
    assert (called.answer, called.calls) == ("first", 1)


async def test_without_the_setting_a_slow_call_is_waited_for(flow):
    slow = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, slow.set)
    called = await Guarded(flow.lane("p")).call(Script(slow))
    assert called.calls == 1


async def test_one_that_is_cancelled_takes_both_calls_along_and_gives_its_places_back(flow):
    script = Script(asyncio.Event(), asyncio.Event())
    lane = flow.lane("p")
    running = asyncio.create_task(Guarded(lane, hedge_after=0.001).call(script))
    await script.last.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (script.cancelled, lane._throttle.under_way) == (2, 0)


async def test_models_of_one_provider_share_its_window_and_have_their_own_circuits(flow):
    one, other = flow.lane("hub", "a"), flow.lane("hub", "b")
    assert one._throttle is other._throttle
    assert one is flow.lane("hub", "a")
    for _ in range(FAILURES):
        with pytest.raises(NetworkFailed):
            await Guarded(one, patience=0.0).call(Script(NetworkFailed("gone")))
    assert (await Guarded(other).call(Script("here"))).answer == "here"


async def test_what_is_remembered_has_a_bound(flow):
    for n in range(MOST_LANES * 2):
        flow.lane("hub", str(n))
    assert len(flow._lanes) == MOST_LANES


async def test_calls_are_counted_by_what_became_of_them(flow):
    guard = Guarded(flow.lane("counted"), patience=0.0)
    await guard.call(Script("here"))
    for error in (NetworkFailed("gone"), RateLimitExceeded("less"), AgentFailed("no")):
        with pytest.raises(type(error)):
            await guard.call(Script(error))
    for outcome in ("answered", "failed", "busy", "refused"):
        assert metric("provider_calls_total", "counted", outcome=outcome) == 1
    assert metric("provider_under_way", "counted") == 0


class Gate:
    """A throttle, those who came to it, and what must hold after each step."""

    def __init__(self, most):
        self.most, self.clock = most, ManualClock()
        self.throttle = Throttle("fair", most, self.clock)
        self.entered, self.tasks = [], []

    async def _come(self, number):
        await self.throttle.enter(60)
        self.entered.append(number)

    def come(self):
        self.tasks.append(asyncio.create_task(self._come(len(self.tasks))))

    def leave(self):
        if self.throttle.under_way:
            self.throttle.leave()

    def refuse(self):
        self.throttle.refused()

    def give_up(self):
        if self.waiting:
            self.waiting[-1].cancel()

    @property
    def waiting(self):
        return [task for task in self.tasks if not task.done()]

    async def step(self, name):
        self.clock.advance(2)
        getattr(self, name)()
        for _ in range(3):
            await asyncio.sleep(0)
        assert self.throttle.under_way <= self.most
        assert not self.waiting or self.throttle.under_way >= int(self.throttle.window.limit)
        assert self.entered == sorted(self.entered)

    async def play(self, steps):
        for name in steps:
            await self.step(name)
        for task in self.waiting:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


STEP = st.sampled_from(["come", "leave", "refuse", "give_up"])


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=60), st.integers(1, 5))
def test_whatever_happens_calls_enter_in_order_within_the_bound_and_none_is_forgotten(steps, most):
    asyncio.run(_played(steps, most))


async def _played(steps, most):
    await Gate(most).play(steps)
