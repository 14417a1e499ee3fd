"""Tests of actors/agents/writer.py."""

import pytest

from actors.agents.writer import PRICES, Writer
from cartrita.errors import InvalidParameters, ModelRequired
from cartrita.protocol.task import Preferences
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import ChatModels, ModelInfo, Sentence, Summarizer, Summary
from cartrita.testing import run_task
from tests.support.scripted_model import ScriptedModels, said

POST = "# Actors\n\nHello.\n\n## Why\n\nThey **restart**."


class FirstSentence:
    """A summarizer that takes the first sentence."""

    info = ModelInfo("local/first", "embedded", generative=False, limitations=("One sentence.",))

    def __init__(self):
        self.limits = []

    async def summarize(self, text, max_tokens):
        self.limits.append(max_tokens)
        first = text.split(". ")[0] + "."
        return Summary(first, (Sentence(0, first),), self.info)


async def write(task, params, *script, summarizer=None, **context):
    models = ScriptedModels(*map(said, script)) if script else chat_models()
    providers = {ChatModels: models, Summarizer: summarizer or FirstSentence()}
    result = (await run_task(Writer, task, params, providers, **context)).to_wire()
    return result, models.model.asked if script else []


async def test_content_comes_with_its_title_and_sections():
    result, asked = await write("writer.content.create", {"prompt": "Actors", "length": 20}, POST)
    assert (result["title"], result["tone"], result["wordCount"]) == ("Actors", "professional", 5)
    assert result["text"] == "Actors\n\nHello.\n\nWhy\n\nThey restart."
    assert result["sections"] == [{"heading": "Why", "text": "They **restart**."}]
    assert (result["model"], result["generative"], result["partial"]) == (
        "fake/writer",
        True,
        False,
    )
    assert "about 20 words" in asked[0][0][0].text


async def test_markdown_stays_where_it_is_asked_for():
    params = {"prompt": "Actors", "format": "markdown", "length": 20}
    assert (await write("writer.content.create", params, POST))[0]["text"] == POST


async def test_an_edit_keeps_the_text_s_own_style():
    params = {"content": "We was late.", "instructions": "Correct it."}
    result, asked = await write("writer.content.edit", params, "We were late.")
    assert result["text"] == "We were late."
    assert "tone" not in result
    assert "Keep its style" in asked[0][0][0].text
    assert asked[0][0][1].text == "<data>\nWe was late.\n</data>"


async def test_a_summary_is_in_a_model_s_words_or_in_the_text_s():
    params = {"content": "Two tests fail. Maria knows why.", "length": 20}
    written, _ = await write("writer.content.summarize", params, "Tests fail.")
    assert (written["text"], written["generative"]) == ("Tests fail.", True)
    taken, _ = await write("writer.content.summarize", params)
    assert (taken["text"], taken["model"]) == ("Two tests fail.", "local/first")
    assert taken["limitations"] == ["One sentence."]


async def test_the_built_in_summary_can_be_asked_for_and_listed():
    params = {"content": "Two tests fail. Why?", "format": "bullets", "model": "local/first"}
    result, asked = await write("writer.content.summarize", params, "never asked")
    assert (result["text"], asked) == ("- Two tests fail.", [])


async def test_a_blog_post_has_its_keywords_or_a_second_try():
    params = {"topic": "Actors", "keywords": ["mailbox"], "length": 20}
    result, asked = await write("writer.blog.post", params, POST, f"{POST} A mailbox.")
    assert len(asked) == 2
    assert result["text"].endswith("A mailbox.")


async def test_a_mail_has_its_subject_apart():
    params = {"purpose": "Move it", "recipient": "Maria", "facts": ["Two tests fail."]}
    result, asked = await write("writer.email.compose", params, "Subject: Friday\n\nDear Maria,")
    assert (result["subject"], result["text"]) == ("Friday", "Dear Maria,")
    assert "Facts:\nTwo tests fail." in asked[0][0][1].text


async def test_without_a_model_a_mail_is_put_together_and_partial():
    warnings = []
    params = {"purpose": "Move it", "recipient": "Maria", "facts": ["Two tests fail."]}
    result, _ = await write("writer.email.compose", params, warnings=warnings)
    assert (result["subject"], result["partial"], result["generative"]) == ("Move it", True, False)
    assert result["text"].count("[TO WRITE: ") == len(result["missing"]) == 3
    assert "OPENAI_API_KEY" in warnings[0]


async def test_a_long_context_is_quoted_and_a_short_one_stands_whole():
    long = "It began in May. " + "And so it went on for a long time. " * 30
    result, _ = await write("writer.compose", {"kind": "brief", "topic": "x", "context": long})
    assert "## Background\n\nIt began in May." in result["text"]
    assert "And so" not in result["text"]
    result, _ = await write("writer.compose", {"kind": "brief", "topic": "x", "context": "A. B."})
    assert "## Background\n\nA. B." in result["text"]


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("content", {"prompt": "x"}),
        ("edit", {"content": "x", "instructions": "y"}),
        ("summary", {"content": "x"}),
        ("blog", {"topic": "x"}),
        ("email", {"purpose": "x"}),
        ("report", {"topic": "x"}),
        ("brief", {"topic": "x"}),
    ],
)
async def test_compose_writes_every_kind(kind, params):
    result, asked = await write("writer.compose", {"kind": kind} | params, "Subject: x\n\nDone.")
    assert result["kind"] == kind
    assert asked


@pytest.mark.parametrize(
    ("task", "params"),
    [
        ("writer.content.create", {"prompt": "x"}),
        ("writer.content.edit", {"content": "x", "instructions": "y"}),
        ("writer.blog.post", {"topic": "x"}),
        ("writer.compose", {"kind": "blog", "topic": "x"}),
        ("writer.email.compose", {"purpose": "x", "model": "gpt-4o"}),
        ("writer.content.summarize", {"content": "x", "model": "gpt-4o"}),
    ],
)
async def test_without_a_model_nothing_is_invented(task, params):
    with pytest.raises(ModelRequired, match="OPENAI_API_KEY"):
        await write(task, params)


async def test_examples_of_what_needs_no_model_run_without_one():
    for spec in Writer.spec.tasks:
        if spec.name in ("writer.compose", "writer.email.compose", "writer.content.summarize"):
            result, _ = await write(spec.name, spec.example)
            assert result["generative"] is False


async def test_the_caller_s_wish_to_follow_keeps_the_first_text():
    params = {"prompt": "Actors", "length": 500}
    streaming = Preferences(streaming=True)
    _, asked = await write("writer.content.create", params, POST, preferences=streaming)
    assert len(asked) == 1


def test_prices_are_those_of_the_catalogue_with_room_for_tokens():
    told = {spec.name: spec.cost for spec in Writer.spec.tasks}
    assert told == PRICES
    assert all(price.max_usd > price.usd and price.max_tokens for price in told.values())
    assert str(told["writer.email.compose"].usd) == "0.008"


@pytest.mark.parametrize(
    ("task", "params", "says"),
    [
        ("writer.content.create", {}, "prompt"),
        ("writer.content.create", {"prompt": " "}, "prompt"),
        ("writer.content.create", {"prompt": "x", "length": 5}, "length"),
        ("writer.content.create", {"prompt": "x", "format": "pdf"}, "format"),
        ("writer.compose", {"kind": "email"}, "purpose"),
        ("writer.compose", {"kind": "blog", "topic": "x", "recipient": "y"}, "recipient"),
        ("writer.compose", {"kind": "poem", "prompt": "x"}, "kind"),
        ("writer.content.summarize", {"content": "x" * 40_001}, "content"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(task, params, says):
    with pytest.raises(InvalidParameters) as caught:
        await write(task, params)
    error = caught.value.fields[0]
    assert says in error.field + error.message
