"""Tests of actors/agents/texts.py."""

import pytest

from actors.agents.texts import Texts
from cartrita.errors import InvalidParameters, ModelRequired
from cartrita.providers.ports import Embedder
from cartrita.providers.ports_huggingface import Finding, HuggingFace, TextKind
from cartrita.testing import run_task
from tests.support.fakes import WordEmbedder
from tests.support.hugging import NOTHING, OneModel

MARK = "huggingface.text.token_classification"
FILL = "huggingface.text.fill_mask"
COMPARE = "huggingface.text.sentence_similarity"
EXTRACT = "huggingface.text.feature_extraction"


async def run(task, params, hugging=NOTHING, **context):
    providers = {HuggingFace: hugging, Embedder: WordEmbedder()}
    return (await run_task(Texts, task, params, providers, **context)).to_wire()


async def test_entities_are_told_with_their_places():
    one = OneModel(Finding(label="PER", score=0.5, text="Ada", start=0, end=3))
    result = await run(MARK, {"text": "Ada sang."}, one)
    assert result == {
        "entities": [{"label": "PER", "score": 0.5, "text": "Ada", "start": 0, "end": 3}],
        "model": "org/model",
        "provider": "huggingface",
        "generative": False,
    }
    assert one.asked[0].kind is TextKind.TOKENS


async def test_words_for_a_gap_are_told_with_the_text():
    one = OneModel(Finding(label="capital", score=0.5, text="Paris is the capital."))
    result = await run(FILL, {"text": "Paris is the [MASK].", "most": 3}, one)
    assert result["words"] == [{"word": "capital", "score": 0.5, "text": "Paris is the capital."}]
    assert one.asked[0].most == 3


async def test_without_a_model_of_hugging_face_texts_are_compared_by_the_one_in_use():
    params = {"text": "red wine", "others": ["red wine", "blue sky", "red sky"]}
    result = await run(COMPARE, params)
    assert [one["score"] for one in result["likenesses"]] == pytest.approx([1, 0, 0.5])
    assert result["model"] == "fake/words"


async def test_with_one_it_compares():
    one = OneModel(Finding(label="a", score=0.25))
    result = await run(COMPARE, {"text": "x", "others": ["a"]}, one)
    assert result["likenesses"] == [{"text": "a", "score": 0.25}]
    assert (one.asked[0].kind, one.asked[0].labels) == (TextKind.SIMILARITY, ["a"])


async def test_texts_become_vectors_of_the_model_in_use():
    result = await run(EXTRACT, {"texts": ["red wine", "red sky"]})
    first, second = result["vectors"]
    assert result["dimensions"] == len(first) == 384
    alike = sum(a * b for a, b in zip(first, second, strict=True))
    assert alike == pytest.approx(0.5, abs=1e-3)
    assert result["model"] == "fake/words"


async def test_vectors_by_another_model_are_refused_with_the_setting_s_name():
    with pytest.raises(ModelRequired, match=r"'org/other'.*embeddings\.provider"):
        await run(EXTRACT, {"texts": ["x"], "model": "org/other"})


@pytest.mark.parametrize("task", [MARK, FILL])
@pytest.mark.parametrize("model", [None, "auto", "org/other"])
async def test_without_a_model_it_says_how_to_have_one(task, model):
    with pytest.raises(ModelRequired, match=r"pip install.*huggingface\.path") as refused:
        await run(task, {"text": "x [MASK]", "model": model})
    assert model in (None, "auto") or repr(model) in refused.value.message


async def test_comparing_by_another_model_is_refused():
    with pytest.raises(ModelRequired, match="'org/other'"):
        await run(COMPARE, {"text": "x", "others": ["y"], "model": "org/other"})


@pytest.mark.parametrize(
    ("task", "params", "field"),
    [
        (MARK, {"text": " "}, "text"),
        (MARK, {"text": "x" * 100_001}, "text"),
        (FILL, {"text": "x", "most": 0}, "most"),
        (COMPARE, {"text": "x", "others": []}, "others"),
        (COMPARE, {"text": "x", "others": ["y"] * 51}, "others"),
        (COMPARE, {"text": "x", "others": [" "]}, "others.0"),
        (EXTRACT, {"texts": []}, "texts"),
        (EXTRACT, {"texts": ["x"] * 51}, "texts"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(task, params, field):
    with pytest.raises(InvalidParameters) as caught:
        await run(task, params)
    assert caught.value.fields[0].field == f"parameters.{field}"


@pytest.mark.parametrize("spec", Texts.spec.tasks, ids=lambda spec: spec.name)
async def test_the_examples_run_with_a_model(spec):
    usages = []
    assert await run(spec.name, spec.example, OneModel(), usages=usages)
    assert str(spec.cost.usd) == "0.001"
    assert usages[0].model == ("fake/words" if spec.name == EXTRACT else "org/model")
