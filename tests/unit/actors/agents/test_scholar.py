"""Tests of actors/agents/scholar.py."""

import subprocess
import sys

import pytest

from actors.agents.scholar import WITHOUT_MODEL, Scholar
from cartrita.clock import new_uuid
from cartrita.errors import AddressRefused, ModelRequired
from cartrita.protocol.principal import Principal, Role
from cartrita.providers.chat_models import chat_models
from cartrita.providers.ports import ChatModels, Embedder, QuestionAnswerer
from cartrita.providers.ports_web import WebFetch, WebSearch
from cartrita.storage.memory import InMemoryMemories
from cartrita.storage.ports import Memories, MemoryRecord
from cartrita.testing import run_task
from tests.support.fakes import WordEmbedder, WordFinder
from tests.support.scripted_model import ScriptedModels, said
from tests.support.web import FoundHits, GivenPages, hit

ANSWER = "research.answer"
ADA = Principal("ada", "tenant-a", frozenset({Role.USER}))
FIRST, SECOND = "https://site1.example/", "https://site2.example/"
QUESTION = {"question": "when are refunds paid"}


class Bench:
    """A scholar's world, and what it reported."""

    def __init__(self, search=None, pages=None, models=None):
        self.search, self.pages = search or FoundHits(hit(1, "s1"), hit(2, "s2")), pages or {}
        self.models, self.memories = models or chat_models(), InMemoryMemories()
        self.embedder, self.warnings, self.usages = WordEmbedder(), [], []

    async def run(self, params=QUESTION, **context):
        providers = {
            WebSearch: self.search,
            WebFetch: GivenPages(self.pages),
            Memories: self.memories,
            Embedder: self.embedder,
            QuestionAnswerer: WordFinder(),
            ChatModels: self.models,
        }
        told = {"warnings": self.warnings, "usages": self.usages, "principal": ADA} | context
        return (await run_task(Scholar, ANSWER, params, providers, **told)).to_wire()

    @property
    def sent(self):
        """The messages that the model was sent."""
        return [(message.type, message.text) for message in self.models.model.asked[0][0]]


async def test_the_example_runs_without_any_key():
    (spec,) = Scholar.spec.tasks
    result = await Bench(FoundHits(sources=())).run(spec.example)
    assert (result["found"], result["scope"], result["citations"]) == (False, "local-corpus", [])
    assert "answer" not in result


async def test_without_a_model_it_quotes_word_for_word_and_says_so():
    pages = {FIRST: "Our refunds take ten days.", SECOND: "Nothing of that."}
    bench = Bench(pages=pages)
    result = await bench.run()
    assert result["answer"] == "“refunds” [1]"
    assert (result["generative"], result["provider"]) == (False, "fake")
    assert result["limitations"][0] == WITHOUT_MODEL
    first, second = result["citations"]
    assert first == {
        "number": 1,
        "title": "Title 1",
        "url": FIRST,
        "source": "tavily",
        "read": True,
        "cited": True,
        "quote": "refunds",
    }
    assert (second["cited"], "quote" in second) == (False, False)


async def test_a_model_answers_from_the_numbered_sources_and_nothing_else():
    models = ScriptedModels(said("They take ten days [1][2]."))
    pages = {FIRST: "Refunds take ten days.", SECOND: "Ten days."}
    result = await Bench(pages=pages, models=models).run({"question": "How long?", "pages": 2})
    assert (result["answer"], result["found"]) == ("They take ten days [1][2].", True)
    assert (result["model"], result["generative"]) == ("fake/writer", True)
    assert [one["cited"] for one in result["citations"]] == [True, True]
    bench = Bench(pages=pages, models=models)
    assert models.model.asked[0][1].get("tools") is None
    (_, instruction), (_, prompt) = bench.sent
    assert "nothing else" in instruction
    assert prompt.startswith("Question: How long?")
    assert f"[1] Title 1 ({FIRST})\nRefunds take ten days." in prompt
    assert f"[2] Title 2 ({SECOND})\nTen days." in prompt


async def test_what_the_model_cites_and_does_not_exist_is_taken_out_and_told():
    bench = Bench(models=ScriptedModels(said("Ten days [1], or eleven [7].")))
    result = await bench.run()
    assert result["answer"] == "Ten days [1], or eleven."
    assert "do not exist" in bench.warnings[0]
    bench = Bench(models=ScriptedModels(said("Ten days.")))
    await bench.run()
    assert "cited nothing" in bench.warnings[0]


async def test_a_page_that_cannot_be_read_leaves_what_the_engine_quotes():
    pages = {FIRST: AddressRefused("inside"), SECOND: "refunds"}
    result = await Bench(FoundHits(hit(1, "refunds!"), hit(2)), pages).run()
    assert [one["read"] for one in result["citations"]] == [False, True]


async def test_without_an_engine_it_answers_from_what_the_tenant_stored():
    bench = Bench(FoundHits(sources=()))
    for tenant, text in ((ADA.tenant, "refunds are paid at once"), ("other", "refunds when paid")):
        vectors = await bench.embedder.embed([text])
        record = MemoryRecord(new_uuid(), text, 0.0, metadata={"source": "faq.md"})
        await bench.memories.store(tenant, [record], vectors, bench.embedder.info.model)
    result = await bench.run()
    (citation,) = result["citations"]
    assert (result["scope"], citation["title"], "url" in citation) == (
        "local-corpus",
        "faq.md",
        False,
    )


async def test_a_model_is_not_asked_when_nothing_was_found():
    models = ScriptedModels(said("Made up."))
    result = await Bench(FoundHits(), models=models).run()
    assert (result["found"], "answer" in result) == (False, False)
    assert models.model.asked == []


async def test_a_model_nobody_serves_is_an_error_before_anything_is_searched():
    bench = Bench()
    with pytest.raises(ModelRequired, match="OPENAI_API_KEY"):
        await bench.run(QUESTION | {"model": "gpt-4o"})
    assert bench.search.asked == []


async def test_the_model_s_tokens_are_metered():
    bench = Bench(models=ScriptedModels(said("Ten [1].", 20, 8)))
    await bench.run()
    assert sum(usage.tokens_in + usage.tokens_out for usage in bench.usages) == 28


def test_its_file_brings_no_heavy_package():
    script = "import sys, actors.agents.scholar, actors.agents.researcher; print([m for m in "
    script += "('langchain', 'selectolax', 'httpx', 'torch') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
