"""Tests of actors/agents/language.py."""

import pytest

from actors.agents.language import Language
from cartrita.errors import InvalidParameters, ModelRequired
from cartrita.providers.ports import QuestionAnswerer, Summarizer, TextClassifier
from cartrita.providers.ports_huggingface import Finding, HuggingFace, TextKind
from cartrita.testing import run_task
from tests.support.fakes import FirstLabel, FirstWords, WordFinder
from tests.support.hugging import NOTHING, OneModel

SUMMARIZATION = "huggingface.text.summarization"
CLASSIFICATION = "huggingface.text.classification"
ANSWERING = "huggingface.text.question_answering"


@pytest.fixture
def summarizer():
    return FirstWords()


@pytest.fixture
def providers(summarizer):
    return {
        Summarizer: summarizer,
        TextClassifier: FirstLabel(),
        QuestionAnswerer: WordFinder(),
        HuggingFace: NOTHING,
    }


async def test_the_readme_example_has_the_shape_of_the_contract(providers, summarizer):
    params = {"text": "Your long text goes here", "maxLength": 150}
    result = await run_task(Language, SUMMARIZATION, params, providers)
    assert summarizer.max_tokens == 150
    assert result.to_wire() == {
        "summary": "Your long text",
        "sentences": [{"index": 0, "text": "Your long text"}],
        "model": "fake/model",
        "provider": "fake",
        "generative": False,
        "limitations": ["Not a model."],
    }


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, 130),
        ({"max_length": 9}, 9),
        ({"options": {}}, 130),
        ({"maxLength": 9, "options": {"max_length": 20}}, 20),
    ],
)
async def test_the_length_may_stand_beside_the_text_or_in_the_options(
    providers, summarizer, more, expected
):
    await run_task(Language, SUMMARIZATION, {"text": "a b", **more}, providers)
    assert summarizer.max_tokens == expected


async def test_with_labels_it_sorts_and_without_it_tells_the_mood(providers):
    params = {"text": "hello", "labels": ["greeting", "farewell"]}
    sorted_ = await run_task(Language, CLASSIFICATION, params, providers)
    assert sorted_.to_wire()["labels"] == [
        {"label": "greeting", "score": 1.0},
        {"label": "farewell", "score": 0.5},
    ]
    mood = await run_task(Language, CLASSIFICATION, {"text": "hello"}, providers)
    assert mood.to_wire() == {
        "labels": [{"label": "neutral", "score": 1.0}],
        "model": "fake/mood",
        "provider": "fake",
        "generative": False,
    }


async def test_an_answer_carries_its_place(providers):
    params = {"question": "Which wine?", "context": "Beer or wine."}
    warnings = []
    result = await run_task(Language, ANSWERING, params, providers, warnings=warnings)
    wire = result.to_wire()
    assert (wire["answer"], wire["score"], wire["start"], wire["end"]) == ("wine", 1.0, 8, 12)
    assert warnings == []


async def test_no_answer_is_empty_and_warned_about(providers):
    warnings = []
    params = {"question": "Why?", "context": "Because."}
    result = await run_task(Language, ANSWERING, params, providers, warnings=warnings)
    assert result.to_wire()["answer"] == ""
    assert len(warnings) == 1
    assert warnings[0].startswith("Not found")


@pytest.mark.parametrize("model", [None, "auto", "fake/model"])
async def test_the_model_in_use_may_be_named(providers, model):
    usages = []
    params = {"text": "hello", "model": model}
    await run_task(Language, SUMMARIZATION, params, providers, usages=usages)
    assert [usage.model for usage in usages] == ["fake/model"]


@pytest.mark.parametrize(
    ("task", "params"),
    [
        (SUMMARIZATION, {"text": "hello", "model": "facebook/bart-large-cnn"}),
        (CLASSIFICATION, {"text": "hello", "model": "fake/model"}),  # that one needs labels
        (CLASSIFICATION, {"text": "hello", "labels": ["a", "b"], "model": "fake/mood"}),
        (ANSWERING, {"question": "a", "context": "b", "model": "gpt-4o"}),
    ],
)
async def test_another_model_is_refused_and_what_would_enable_it_is_said(providers, task, params):
    with pytest.raises(ModelRequired) as refused:
        await run_task(Language, task, params, providers)
    assert repr(params["model"]) in refused.value.message
    assert "pip install" in refused.value.message


@pytest.mark.parametrize(
    ("task", "params", "field"),
    [
        (SUMMARIZATION, {"text": " \n"}, "text"),
        (SUMMARIZATION, {"text": "x" * 100_001}, "text"),
        (SUMMARIZATION, {"text": "x", "maxLength": 7}, "maxLength"),
        (SUMMARIZATION, {"text": "x", "maxLength": 1025}, "maxLength"),
        (SUMMARIZATION, {"text": "x", "options": {"minLength": 1}}, "options.minLength"),
        (CLASSIFICATION, {"text": "x", "labels": ["one"]}, "labels"),
        (CLASSIFICATION, {"text": "x", "labels": [str(n) for n in range(51)]}, "labels"),
        (CLASSIFICATION, {"text": "x", "labels": ["One", "one"]}, "body"),
        (ANSWERING, {"question": "", "context": "x"}, "question"),
        (ANSWERING, {"question": "x"}, "context"),
    ],
)
async def test_parameters_out_of_range_are_named(providers, task, params, field):
    with pytest.raises(InvalidParameters) as refused:
        await run_task(Language, task, params, providers)
    assert [error.field for error in refused.value.fields] == [f"parameters.{field}"]


@pytest.mark.parametrize("spec", Language.spec.tasks, ids=lambda spec: spec.name)
async def test_examples_run(providers, spec):
    assert await run_task(Language, spec.name, spec.example, providers)


class TestHuggingFace:
    """With a model of Hugging Face, named or configured."""

    async def run(self, providers, task, params, *findings, text=""):
        one = OneModel(*findings, text=text)
        warnings = []
        given = providers | {HuggingFace: one}
        result = await run_task(Language, task, params, given, warnings=warnings)
        (ask,) = one.asked
        return ask, result.to_wire(), warnings

    async def test_a_summary_is_its_text(self, providers):
        params = {"text": "A long text.", "maxLength": 20, "model": "org/model"}
        ask, result, _ = await self.run(providers, SUMMARIZATION, params, text="Short.")
        assert (ask.kind, ask.text, ask.max_tokens) == (TextKind.SUMMARIZATION, "A long text.", 20)
        assert result == {
            "summary": "Short.",
            "model": "org/model",
            "provider": "huggingface",
            "generative": True,
        }

    @pytest.mark.parametrize(
        ("labels", "kind"), [(None, TextKind.CLASSIFICATION), (["a", "b"], TextKind.ZERO_SHOT)]
    )
    async def test_texts_are_sorted_by_its_labels_or_the_caller_s(self, providers, labels, kind):
        found = Finding(label="a", score=0.75)
        params = {"text": "x", **({"labels": labels} if labels else {})}
        ask, result, _ = await self.run(providers, CLASSIFICATION, params, found)
        assert (ask.kind, ask.labels) == (kind, labels or [])
        assert result["labels"] == [{"label": "a", "score": 0.75}]

    async def test_an_answer_is_its_passage(self, providers):
        found = Finding(label="wine", score=0.5, start=8, end=12)
        params = {"question": "Which?", "context": "Beer or wine."}
        ask, result, warnings = await self.run(providers, ANSWERING, params, found)
        assert (ask.question, ask.text) == ("Which?", "Beer or wine.")
        assert (result["answer"], result["start"], result["end"]) == ("wine", 8, 12)
        assert warnings == []

    async def test_no_passage_is_no_answer(self, providers):
        params = {"question": "Which?", "context": "Beer or wine."}
        _, result, warnings = await self.run(providers, ANSWERING, params)
        assert result["answer"] == ""
        assert warnings[0].startswith("Not found")


def test_each_costs_a_tenth_of_a_cent_and_may_run_twice():
    assert all(str(spec.cost.usd) == "0.001" and spec.idempotent for spec in Language.spec.tasks)
