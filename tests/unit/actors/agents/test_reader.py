"""Tests of actors/agents/reader.py."""

import pytest

from actors.agents.reader import BY_LIKENESS, WITHOUT_MODEL, Reader
from cartrita.errors import InvalidParameters, ModelRequired
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import ChatModels, Embedder, QuestionAnswerer
from cartrita.testing import run_task
from tests.support.fakes import WordEmbedder, WordFinder
from tests.support.scripted_model import ScriptedModels, said

READ = "research.documents.answer"
DOCUMENTS = [
    {"id": "office", "text": "The office is in Rome."},
    {"id": "faq", "title": "Questions", "text": "Refunds are paid in ten days. Write to us."},
    {"text": "Nothing of that at all."},
]
ASKED = {"question": "When are refunds paid?", "documents": DOCUMENTS}


async def read(params=ASKED, models=None, **context):
    providers = {
        ChatModels: models or chat_models(),
        Embedder: WordEmbedder(),
        QuestionAnswerer: WordFinder(),
    }
    return (await run_task(Reader, READ, params, providers, **context)).to_wire()


def sent(models, call=0):
    return [message.text for message in models.model.asked[call][0]]


async def test_without_a_model_it_quotes_and_says_so():
    warnings = []
    result = await read(warnings=warnings)
    assert result["answer"].startswith("“")
    assert (result["found"], result["generative"]) == (True, False)
    assert result["limitations"][0] == WITHOUT_MODEL
    assert result["limitations"][-1] == BY_LIKENESS
    assert result["references"][0]["id"] == "faq"
    assert result["references"][0]["title"] == "Questions"
    assert result["references"][0]["index"] == 1
    assert result["embeddingModel"] == "fake/words"


async def test_a_model_answers_from_the_closest_documents_only():
    models = ScriptedModels(said("In ten days [1]."))
    result = await read(ASKED | {"read": 1}, models)
    assert (result["answer"], result["found"]) == ("In ten days [1].", True)
    assert [(one["id"], one["cited"]) for one in result["references"]] == [("faq", True)]
    _, prompt = sent(models)
    assert "[1] Questions (given)\nRefunds are paid in ten days." in prompt
    assert "Rome" not in prompt


async def test_what_a_model_makes_up_is_taken_out_and_an_answer_without_sources_is_not_found():
    warnings = []
    models = ScriptedModels(said("In ten days [9]."))
    result = await read(models=models, warnings=warnings)
    assert (result["answer"], result["found"]) == ("In ten days.", False)
    assert len(warnings) == 2


async def test_other_wordings_are_looked_for_where_a_model_can_tell_them():
    wordings = said('{"wordings": ["rome office"]}')
    models = ScriptedModels(wordings, said("In Rome [1]."))
    result = await read(ASKED | {"rephrase": True, "read": 1}, models)
    assert result["queries"] == [ASKED["question"], "rome office"]
    warnings = []
    result = await read(ASKED | {"rephrase": True}, warnings=warnings)
    assert result["queries"] == [ASKED["question"]]
    assert "language model" in warnings[0]


async def test_a_long_document_is_found_by_the_piece_that_answers():
    filler = "Something else entirely stands here. " * 60
    long = {"id": "long", "text": f"{filler}\nRefunds are paid when the moon is full.\n{filler}"}
    models = ScriptedModels(said("At full moon [1]."))
    result = await read({"question": "refunds paid", "documents": [long]}, models)
    assert result["considered"] > 2
    assert "moon" in result["references"][0]["quote"]
    assert len(result["references"][0]["quote"]) <= 900


async def test_a_model_nobody_serves_is_an_error():
    with pytest.raises(ModelRequired, match="OPENAI_API_KEY"):
        await read(ASKED | {"model": "gpt-4o"})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"question": " "}, "question"),
        ({"documents": []}, "documents"),
        ({"documents": [{"text": " "}]}, "documents.0.text"),
        ({"documents": [{"text": "x" * 50_000}] * 5}, "body"),
        ({"read": 0}, "read"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(change, field):
    with pytest.raises(InvalidParameters) as caught:
        await read(ASKED | change)
    assert caught.value.fields[0].field == f"parameters.{field}"
