"""Tests of actors/agents/comedian.py."""

import pytest

from actors.agents.comedian import Comedian
from cartrita.errors import InvalidParameters, ModelRequired
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import ChatModels
from cartrita.testing import run_task
from tests.support.scripted_model import ScriptedModels, said

JOKE = "comedian.generate_joke"


async def test_a_joke_is_told_in_its_style():
    models = ScriptedModels(said(" Knock knock. "))
    params = {"topic": "actors", "style": "knock-knock", "audience": "children\nand adults"}
    result = (await run_task(Comedian, JOKE, params, {ChatModels: models})).to_wire()
    assert (result["joke"], result["style"]) == ("Knock knock.", "knock-knock")
    system, user = models.model.asked[0][0]
    assert "one knock-knock joke" in system.text
    assert "children and adults" in system.text
    assert "actors" in user.text


async def test_without_a_model_nobody_is_funny():
    (spec,) = Comedian.spec.tasks
    with pytest.raises(ModelRequired, match=r"A joke needs .* OPENAI_API_KEY"):
        await run_task(Comedian, JOKE, spec.example, {ChatModels: chat_models()})


async def test_a_style_that_is_none_is_refused():
    with pytest.raises(InvalidParameters) as caught:
        await run_task(Comedian, JOKE, {"style": "cruel"}, {ChatModels: chat_models()})
    assert "style" in caught.value.fields[0].field
