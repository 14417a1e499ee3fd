"""Tests of cartrita/testing.py."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
from pydantic import Field

from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, probe, task
from cartrita.effects import Doubt, Finding, State
from cartrita.errors import (
    AgentFailed,
    ConfigurationInvalid,
    InvalidMessage,
    InvalidParameters,
    InvalidTaskType,
    NotDone,
    OutcomeUnknown,
    TaskTimeout,
)
from cartrita.stream import Progress, Token, ToolUse
from cartrita.testing import run_task


class Shouting(Protocol):
    def shout(self, text: str) -> str: ...


class Loud:
    def shout(self, text: str) -> str:
        return text.upper()


class SayParams(Params):
    """What to say."""

    some_text: str = Field(min_length=1)


class SayResult(Result):
    """What was said."""

    said: str | None
    tenant: str = ""


class Crier(Agent, team="system"):
    """Says things loudly."""

    def __init__(self, voice: Shouting) -> None:
        self._voice = voice

    @task("crier.say", aliases=("say",))
    async def say(self, params: SayParams, ctx: Context) -> SayResult:
        """Say it loudly."""
        ctx.warn("It will be loud.")
        return SayResult(said=self._voice.shout(params.some_text), tenant=ctx.principal.tenant)

    @task("crier.mumble")
    async def mumble(self, params: SayParams, ctx: Context) -> SayResult:
        """Answer something else."""
        return "not a result"  # type: ignore[return-value]

    @task("crier.whisper")
    async def whisper(self, params: SayParams, ctx: Context) -> SayResult:
        """Lose a required field on the wire."""
        return SayResult(said=None)

    @task("crier.wait", timeout=0.01)
    async def wait(self, params: SayParams, ctx: Context) -> SayResult:
        """Never answer."""
        await asyncio.Event().wait()
        raise AssertionError


PROVIDERS = {Shouting: Loud()}


@pytest.mark.parametrize("params", [{"someText": "hi"}, {"some_text": "hi"}])
@pytest.mark.parametrize("name", ["crier.say", "say"])
async def test_builds_the_agent_and_runs_the_task(name, params):
    warnings = []
    result = await run_task(Crier, name, params, PROVIDERS, warnings=warnings)
    assert result == SayResult(said="HI", tenant="system")
    assert warnings == ["It will be loud."]


async def test_wrong_parameters_are_named():
    with pytest.raises(InvalidParameters, match=r"parameters\.someText") as failed:
        await run_task(Crier, "crier.say", {"someText": "", "other": 1}, PROVIDERS)
    assert {field.field for field in failed.value.fields} == {
        "parameters.someText",
        "parameters.other",
    }


async def test_a_missing_port_is_named():
    with pytest.raises(ConfigurationInvalid, match="Shouting"):
        await run_task(Crier, "crier.say", {"someText": "hi"})


async def test_an_unknown_task_is_refused():
    with pytest.raises(InvalidTaskType):
        await run_task(Crier, "crier.sing", {"someText": "hi"}, PROVIDERS)


@pytest.mark.parametrize("name", ["crier.mumble", "crier.whisper"])
async def test_a_result_that_is_not_what_was_declared_is_a_type_error(name):
    with pytest.raises(TypeError):
        await run_task(Crier, name, {"someText": "hi"}, PROVIDERS)


async def test_a_task_that_overruns_its_timeout_fails():
    with pytest.raises(TaskTimeout, match=r"crier\.wait"):
        await run_task(Crier, "crier.wait", {"someText": "hi"}, PROVIDERS)


class Choir(Agent, team="system"):
    """Sings with others."""

    @task("choir.sing")
    async def sing(self, params: SayParams, ctx: Context) -> AsyncIterator[Token | SayResult]:
        """Sing it word by word."""
        for word in params.some_text.split():
            yield Token(word)
        yield SayResult(said=params.some_text)

    @task("choir.hum")
    async def hum(self, params: SayParams, ctx: Context) -> SayResult:
        """Hum it with a pipe."""
        await ctx.progress(0.5)
        await ctx.tool("pipe", params.some_text)
        return SayResult(said=await ctx.in_thread(params.some_text.lower))

    @task("choir.echo")
    async def echo(self, params: SayParams, ctx: Context) -> SayResult:
        """Let somebody else say it."""
        return await ctx.call("crier.say", params, into=SayResult)

    @task("choir.repeat", takes_stream=True)
    async def repeat(self, params: SayParams, ctx: Context) -> SayResult:
        """Repeat what comes in."""
        return SayResult(said=" ".join([piece async for piece in ctx.incoming()]))

    @task("choir.doze")
    async def doze(self, params: SayParams, ctx: Context) -> SayResult:
        """Listen without having said so."""
        ctx.incoming()
        raise AssertionError


def sing(name, **options):
    return run_task(Choir, name, {"someText": "La la"}, **options)


async def later(params):
    await asyncio.sleep(0)
    return {"said": params["someText"] + "!"}


class TestOutside:
    async def test_what_a_task_says_is_collected_one_by_one(self):
        emitted = []
        assert await sing("choir.sing", emitted=emitted) == SayResult(said="La la")
        assert emitted == [Token("La"), Token("la")]

    async def test_a_coroutine_says_things_too(self):
        emitted = []
        assert (await sing("choir.hum", emitted=emitted)).said == "la la"
        assert emitted == [Progress(0.5), ToolUse("pipe", "La la")]

    async def test_whoever_does_not_collect_hears_nothing(self):
        assert (await sing("choir.sing")).said == "La la"

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            ({"said": "given"}, "given"),
            (SayResult(said="model"), "model"),
            (lambda params: {"said": params["someText"] * 2}, "La laLa la"),
            (lambda params: SayResult(said="made"), "made"),
            (later, "La la!"),
        ],
    )
    async def test_other_agents_answer_what_the_test_gives(self, answer, said):
        assert (await sing("choir.echo", calls={"crier.say": answer})).said == said

    async def test_other_agents_may_fail(self):
        def fail(params):
            raise AgentFailed("hoarse")

        with pytest.raises(AgentFailed, match="hoarse"):
            await sing("choir.echo", calls={"crier.say": fail})

    async def test_an_answer_of_another_shape_is_told(self):
        with pytest.raises(AgentFailed, match=r"'crier\.say' did not answer a SayResult"):
            await sing("choir.echo", calls={"crier.say": {"sung": "x"}})

    async def test_a_call_that_the_test_did_not_expect_is_told(self):
        with pytest.raises(InvalidTaskType, match=r"'crier\.say'"):
            await sing("choir.echo")

    async def test_chunks_are_fed_into_a_task_that_takes_a_stream(self):
        assert (await sing("choir.repeat", chunks=["do", "re"])).said == "do re"
        assert (await sing("choir.repeat")).said == ""

    async def test_a_task_that_does_not_take_one_reads_none(self):
        with pytest.raises(InvalidMessage, match="takes_stream"):
            await sing("choir.doze", chunks=["do"])


class Courier(Agent, team="system"):
    """Brings things."""

    def __init__(self, voice: Shouting) -> None:
        self._voice = voice

    @task("courier.bring", effects=("parcel", "letter"))
    async def bring(self, params: SayParams, ctx: Context) -> SayResult:
        """Bring a parcel."""
        async with ctx.effect("parcel", key=params.some_text) as effect:
            said = await effect.once(self._hand_over, params.some_text)
        return SayResult(said=said)

    @task("courier.twice", effects=("letter",))
    async def twice(self, params: SayParams, ctx: Context) -> SayResult:
        """Bring the same letter twice."""
        for _ in range(2):
            async with ctx.effect("letter", key="same") as effect:
                await effect.once(self._hand_over, params.some_text)
        raise AssertionError

    async def _hand_over(self, text: str) -> str:
        if text == "full":
            raise NotDone("full")
        return self._voice.shout(text)

    @probe("parcel")
    async def arrived(self, doubt: Doubt, ctx: Context) -> Finding:
        """Trace a parcel."""
        return Finding.done("traced") if doubt.key == "known" else Finding.not_done()


class TestEffects:
    def bring(self, text="hi", ledger=None, name="courier.bring"):
        return run_task(Courier, name, {"someText": text}, PROVIDERS, effects=ledger)

    async def test_what_it_does_is_written_down(self):
        ledger = {}
        assert (await self.bring("hi", ledger)).said == "HI"
        assert ledger == {("parcel", "hi"): Finding.done("HI")}

    async def test_what_an_attempt_before_did_is_not_done_again(self):
        assert (await self.bring("hi", {("parcel", "hi"): Finding.done("then")})).said == "then"

    @pytest.mark.parametrize(("text", "said"), [("known", "traced"), ("other", "OTHER")])
    @pytest.mark.parametrize("before", [State.BEGUN, State.UNKNOWN])
    async def test_its_probe_is_asked_about_what_is_unknown(self, text, said, before):
        ledger = {("parcel", text): Finding(before)}
        assert (await self.bring(text, ledger)).said == said
        assert ledger == {("parcel", text): Finding.done(said)}

    async def test_without_a_probe_nobody_can_tell(self):
        ledger = {("letter", "same"): Finding.unknown()}
        with pytest.raises(OutcomeUnknown):
            await self.bring("hi", ledger, "courier.twice")

    async def test_what_is_not_done_is_written_down(self):
        ledger = {}
        with pytest.raises(NotDone):
            await self.bring("full", ledger)
        assert ledger == {("parcel", "full"): Finding.not_done()}

    async def test_one_that_stands_twice_is_told(self):
        with pytest.raises(AgentFailed, match="twice"):
            await self.bring(name="courier.twice")
