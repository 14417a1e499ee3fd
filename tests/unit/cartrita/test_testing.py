"""Tests of cartrita/testing.py."""

import asyncio
from typing import Protocol

import pytest
from pydantic import Field

from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task
from cartrita.errors import (
    ConfigurationInvalid,
    InvalidParameters,
    InvalidTaskType,
    TaskTimeout,
)
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
