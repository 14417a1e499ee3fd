"""Tests of actors/agents/tone.py."""

import json

import pytest

from actors.agents.tone import Tone
from cartrita.errors import ModelRequired
from cartrita.providers.chat_models import chat_models
from cartrita.providers.embedded.sentiment import INFO, Lexicon
from cartrita.providers.ports import ChatModels, TextClassifier
from cartrita.testing import run_task
from tests.support.scripted_model import ScriptedModels, said

MIXED = "I was so happy when it worked! It is a table. Then it broke and I was furious."
BIASED = "The chairman spoke. Nobody likes their kind."


class Feelings:
    """The word list behind the port."""

    sentiment_info = info = INFO

    def __init__(self):
        self._lexicon = Lexicon()

    async def sentiment(self, text):
        return self._lexicon.classify(text)


async def read(task, params, *script, **context):
    models = ScriptedModels(*[said(json.dumps(item)) for item in script])
    providers = {ChatModels: models if script else chat_models(), TextClassifier: Feelings()}
    return (await run_task(Tone, task, params, providers, **context)).to_wire()


async def test_without_a_model_a_word_list_tells_sentiment_and_no_emotions():
    result = await read("emotion.analysis", {"text": MIXED})
    assert [one["label"] for one in result["passages"]] == ["positive", "negative"]
    assert (result["model"], result["generative"]) == (INFO.model, False)
    assert "emotions" not in result


async def test_a_model_tells_emotions_strongest_first():
    answer = {
        "emotions": [{"emotion": "joy", "score": 0.4}, {"emotion": "anger", "score": 0.8}],
        "explanation": "It worked, and broke.",
    }
    result = await read("emotion.analysis", {"text": MIXED}, answer)
    assert [one["emotion"] for one in result["emotions"]] == ["anger", "joy"]
    assert (result["explanation"], result["model"]) == ("It worked, and broke.", "fake/writer")


async def test_the_word_list_can_be_asked_for_by_name():
    result = await read(
        "emotion.analysis", {"text": MIXED, "model": INFO.model}, {"never": "asked"}
    )
    assert result["model"] == INFO.model


async def test_without_a_model_a_list_finds_biased_wordings():
    result = await read("bias.detect", {"text": BIASED})
    (found,) = result["findings"]
    assert (found["quote"], found["suggestion"], found["source"]) == (
        "chairman",
        "chair",
        "lexicon",
    )
    assert (result["biased"], result["model"]) == (True, "local/bias-lexicon")
    assert any("does not mean that a text is fair" in one for one in result["limitations"])


async def test_a_model_adds_what_it_can_quote_and_nothing_else():
    warnings = []
    quotes = [
        {"quote": "their kind", "kind": "generalisation", "reason": "Sets people apart."},
        {"quote": "chairman", "kind": "gender", "reason": "Known already."},
        {"quote": "not in there", "kind": "other", "reason": "Invented."},
    ]
    result = await read("bias.detect", {"text": BIASED}, {"findings": quotes}, warnings=warnings)
    assert [(one["quote"], one["source"]) for one in result["findings"]] == [
        ("chairman", "lexicon"),
        ("their kind", "model"),
    ]
    last = result["findings"][-1]
    assert BIASED[last["start"] : last["end"]] == "their kind"
    assert warnings == ["1 of the model's quotes are not in the text and were left out."]


@pytest.mark.parametrize("task", ["emotion.analysis", "bias.detect"])
async def test_a_model_that_is_not_there_is_not_replaced(task):
    with pytest.raises(ModelRequired):
        await read(task, {"text": "x", "model": "gpt-4o"})


async def test_a_fair_text_has_no_findings():
    assert (await read("bias.detect", {"text": "The chair spoke."}))["biased"] is False
