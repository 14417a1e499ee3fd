"""Tests of actors/agents/huggingface.py."""

import subprocess
import sys

import pytest

from actors.agents.huggingface import HuggingFace
from actors.hosting import groups_of
from cartrita.catalog import Catalog, discover
from cartrita.errors import InvalidTaskType
from cartrita.protocol.task import Preferences
from cartrita.providers.ports_huggingface import LOCAL_TASK, LocalText, TextAnswer, TextKind
from cartrita.testing import run_task


class Models:
    """Says what it was told to say, and then answers."""

    def __init__(self):
        self.shown = None

    async def run(self, ask, say=None):
        self.shown = say is not None
        if say:
            await say("Once")
        return TextAnswer(text="Once", model=ask.model, provider="huggingface", generative=True)


async def run(kind, *, streaming):
    models, emitted = Models(), []
    await run_task(
        HuggingFace,
        LOCAL_TASK,
        {"kind": kind, "model": "tiny", "text": "x"},
        {LocalText: models},
        emitted=emitted,
        inner=True,
        preferences=Preferences(streaming=streaming),
    )
    return models.shown, [item.text for item in emitted]


@pytest.mark.parametrize(
    ("kind", "streaming", "shown"),
    [
        (TextKind.GENERATION, True, True),
        (TextKind.GENERATION, False, False),
        (TextKind.SUMMARIZATION, True, False),
    ],
)
async def test_generated_text_is_shown_to_those_who_want_that(kind, streaming, shown):
    assert await run(kind, streaming=streaming) == (shown, ["Once"] if shown else [])


def test_it_lives_alone_and_begins_with_no_host():
    assert HuggingFace.spec.needs.isolation == "own"
    assert HuggingFace.spec.pool[0] == 0


def test_callers_do_not_see_it():
    catalog = Catalog.of([HuggingFace])
    assert dict(catalog.tasks) == {}
    with pytest.raises(InvalidTaskType):
        catalog.task(LOCAL_TASK)
    assert catalog.task(LOCAL_TASK, inner=True).agent == "huggingface"


def test_every_other_agent_runs_in_a_host_without_torch():
    """Light hosts are opened as they are with settings that name models here."""
    light = [
        agent.name
        for team in ("intelligence", "system")
        for group in groups_of(discover("actors.agents").team(team))
        if group.name == "shared"
        for agent in group.agents
    ]
    assert "language" in light
    program = f"""
import asyncio, sys
from cartrita.catalog import discover
from cartrita.config.settings import Settings
from cartrita.services import open_services

async def main():
    catalog = discover("actors.agents")
    sections = {{
        "huggingface": {{"path": "/tmp/none", "download": True}},
        "models": {{"huggingface_api_key": "hf_x", "openai_api_key": "sk-x"}},
        "postgres": {{"url": "postgresql://u:p@127.0.0.1:9/d"}},
        "redis": {{"url": "redis://127.0.0.1:9"}},
    }}
    services = open_services(Settings.model_validate(sections))
    for name in {light!r}:
        await services.build(catalog.agents[name].cls)
    await services.close()

asyncio.run(main())
sys.exit(" ".join({{"torch", "transformers"}} & set(sys.modules)) or 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
