"""Tests of actors/agents/archivist.py."""

from uuid import UUID

import pytest

from actors.agents.archivist import NOTHING, QUERY, Archivist
from cartrita.errors import ModelRequired
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import ChatModels
from cartrita.testing import run_task
from tests.support.scripted_model import ScriptedModels, said

ANSWER = "memory.knowledge_graph.answer"
ONE, TWO = str(UUID(int=1)), str(UUID(int=2))


def hits(*texts):
    return {
        "hits": [
            {"id": id_, "place": 0, "title": f"About {text}", "text": text, "similarity": 0.5}
            for id_, text in zip((ONE, TWO), texts, strict=False)
        ]
    }


async def run(models, found, params=None, **context):
    asked = []
    calls = {QUERY: lambda params: asked.append(params) or found}
    result = await run_task(
        Archivist,
        ANSWER,
        {"question": "When?"} | (params or {}),
        {ChatModels: models},
        calls=calls,
        **context,
    )
    return result.to_wire(), asked


async def test_without_a_model_that_writes_it_says_what_is_needed():
    with pytest.raises(ModelRequired, match="OPENAI_API_KEY"):
        await run(chat_models(), hits("ten days"))


async def test_a_model_answers_from_what_was_found_and_cites_it():
    models, warnings = ScriptedModels(said("In ten days [2][7].")), []
    params = {"ids": [ONE, TWO], "limit": 3, "threshold": 0.2}
    result, asked = await run(models, hits("one", "ten days"), params, warnings=warnings)
    assert result["answer"] == "In ten days [2]."
    assert (result["model"], result["found"]) == ("fake/writer", True)
    assert [(one["id"], one["cited"]) for one in result["references"]] == [
        (ONE, False),
        (TWO, True),
    ]
    assert asked == [{"query": "When?", "limit": 3, "threshold": 0.2, "ids": [ONE, TWO]}]
    assert "do not exist" in warnings[0]
    prompt = models.model.asked[0][0][-1].text
    assert "[2] About ten days" in prompt


async def test_where_nothing_is_found_no_model_is_asked():
    models = ScriptedModels(said("made up"))
    result, _ = await run(models, hits())
    assert (result["answer"], result["found"], result["references"]) == (NOTHING, False, [])
    assert models.model.asked == []
