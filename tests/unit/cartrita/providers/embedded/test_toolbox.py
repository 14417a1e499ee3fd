"""Tests of cartrita/providers/embedded/toolbox.py."""

from uuid import UUID

import pytest

from cartrita.clock import ManualClock
from cartrita.context import Context
from cartrita.errors import ModelRequired
from cartrita.protocol.principal import Principal
from cartrita.providers.embedded.toolbox import BuiltinTools
from cartrita.storage.ports import MemoryRecord, Recalled
from tests.support.fakes import FirstLabel, FirstWords, WordEmbedder


class Notes:
    """Memories that remember how they were searched."""

    def __init__(self, *found):
        self.found = list(found)
        self.searched = []

    async def search(self, tenant, vector, model, *, limit, threshold, session=None):
        self.searched.append((tenant, model, limit, session))
        return [hit for hit in self.found if hit.score >= threshold][:limit]


def hit(text, score, **metadata):
    return Recalled(MemoryRecord(UUID(int=1), text, 0.0, metadata=metadata), score)


def offered(ctx=None, **ports):
    ctx = ctx or Context("t")
    return {tool.name: tool for tool in BuiltinTools(**ports).tools(ctx)}


async def use(tool, **args):
    call = {"name": tool.name, "args": args, "id": "c", "type": "tool_call"}
    return await tool.ainvoke(call)


def test_only_what_can_be_done_is_offered():
    assert list(offered()) == ["calculator", "current_time"]
    ports = {"embedder": WordEmbedder(), "memories": Notes()}
    assert "search_memory" in offered(**ports)
    assert "search_memory" not in offered(memories=Notes())
    assert list(offered(summarizer=FirstWords(), classifier=FirstLabel()))[2:] == [
        "summarize",
        "sentiment",
    ]


def test_every_tool_tells_the_model_what_it_is_for_and_takes():
    ports = {"embedder": WordEmbedder(), "memories": Notes(), "summarizer": FirstWords()}
    for tool in offered(**ports).values():
        assert tool.description.endswith(".")
        assert len(tool.args_schema.model_json_schema()["properties"]) == 1


async def test_the_calculator_computes_or_says_why_not():
    tools = offered()
    assert (await use(tools["calculator"], expression="6*7")).content == "42"
    failed = await use(tools["calculator"], expression="1/0")
    assert (failed.content, failed.status) == ("division by zero", "error")


async def test_the_clock_tells_the_time_of_a_zone_by_the_task_s_clock():
    ctx = Context("t", clock=ManualClock(1_700_000_000.0))
    clock = offered(ctx)["current_time"]
    assert (await use(clock)).content == "Tuesday 2023-11-14 22:13 UTC"
    assert (await use(clock, zone="Tokyo")).content == "Wednesday 2023-11-15 07:13 Asia/Tokyo"
    assert (await use(clock, zone="../../etc/passwd")).status == "error"


async def test_the_memory_is_searched_for_the_caller_s_tenant_and_session_only():
    notes = Notes(hit("Refunds take ten days.", 0.58, source="faq.md"), hit("Noise.", 0.1))
    ctx = Context("t", principal=Principal("ann", "acme"), session_id="s1")
    tool = offered(ctx, embedder=WordEmbedder(), memories=notes)["search_memory"]
    found = await use(tool, query="refunds")
    assert found.content == "“Refunds take ten days.” [faq.md, 0.58]"
    assert notes.searched == [("acme", "fake/words", 3, "s1")]


async def test_a_memory_without_a_match_says_so():
    tool = offered(embedder=WordEmbedder(), memories=Notes())["search_memory"]
    assert (await use(tool, query="refunds")).content.startswith("Nothing that is stored")


async def test_a_tool_without_its_model_tells_what_is_missing_instead_of_ending_the_talk():
    class NoWeights(WordEmbedder):
        async def embed(self, texts):
            raise ModelRequired("install the weights")

    tool = offered(embedder=NoWeights(), memories=Notes())["search_memory"]
    found = await use(tool, query="refunds")
    assert (found.content, found.status) == ("install the weights", "error")


async def test_summaries_and_moods_name_the_model_that_made_them():
    tools = offered(summarizer=FirstWords(), classifier=FirstLabel())
    assert (await use(tools["summarize"], text="a b c d")).content == "a b c [fake/model]"
    assert (await use(tools["sentiment"], text="nice")).content == "neutral 1.00 [fake/mood]"


@pytest.mark.parametrize("text", [" ", "x" * 20_001])
async def test_texts_are_bounded(text):
    tool = offered(summarizer=FirstWords())["summarize"]
    assert (await use(tool, text=text)).status == "error"
