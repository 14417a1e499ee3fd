"""Tests of the tools of cartrita/tools that need no outside service."""

import json
from dataclasses import replace
from uuid import UUID

import pytest

from actors.agents.chat import Chat
from actors.agents.health import Health
from cartrita.catalog import Catalog
from cartrita.clock import ManualClock, new_uuid
from cartrita.context import Context
from cartrita.errors import ModelRequired
from cartrita.protocol.principal import Principal
from cartrita.storage.knowledge import Chunk, Entry, Holder
from cartrita.storage.memory_knowledge import InMemoryKnowledge
from cartrita.storage.ports import MemoryRecord, Recalled
from cartrita.tools.clock import ClockTools
from cartrita.tools.figures import FigureTools
from cartrita.tools.knowledge import KnowledgeTools
from cartrita.tools.registry import ToolRegistry
from cartrita.tools.system import SystemTools
from cartrita.tools.text import TextTools
from tests.support.fakes import FirstLabel, FirstWords, WordCounter, WordEmbedder
from tests.support.tools import NoEngine, by_name, use

ENTRY = Entry(
    id=UUID(int=1),
    title="",
    content="",
    content_type="text",
    category="general",
    subcategory=None,
    tags=(),
    importance=0.5,
    source_type="user_created",
    source_url=None,
    file=None,
    digest="",
    chunks=1,
    model="fake/words",
    created_at=0.0,
    updated_at=0.0,
)


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


def offered(tools, ctx=None):
    return by_name(ToolRegistry([tools]).tools(ctx or Context("t"), "langchain"))


def knowing(notes, ctx=None, embedder=None, kept=None):
    tools = KnowledgeTools(notes, embedder or WordEmbedder(), kept or InMemoryKnowledge())
    return offered(tools, ctx)["knowledge_query"]


def texts():
    return TextTools(FirstWords(), FirstLabel(), WordCounter())


async def answer(tools, name, **args):
    return json.loads((await use(offered(tools)[name], **args)).content)


async def test_the_calculator_computes_or_says_why_not():
    tool = offered(FigureTools(NoEngine()))["calculator"]
    assert (await use(tool, expression="6*7")).content == "42"
    failed = await use(tool, expression="1/0")
    assert (failed.content, failed.status) == ("division by zero", "error")


async def test_the_clock_tells_the_time_of_a_zone_by_the_task_s_clock():
    ctx = Context("t", clock=ManualClock(1_700_000_000.0))
    clock = offered(ClockTools(), ctx)["getCurrentDateTime"]
    assert (await use(clock)).content == "Tuesday 2023-11-14 22:13 UTC"
    assert (await use(clock, zone="Tokyo")).content == "Wednesday 2023-11-15 07:13 Asia/Tokyo"
    assert (await use(clock, zone="Tokyo", format="iso")).content == "2023-11-15T07:13:20+09:00"
    assert (await use(clock, zone="../../etc/passwd")).status == "error"


@pytest.mark.parametrize(
    ("time", "source", "target", "expected"),
    [
        ("2026-01-15T12:00", "America/New_York", "Europe/Berlin", "2026-01-15T18:00+01:00"),
        ("2026-07-15T12:00", "America/New_York", "Europe/Berlin", "2026-07-15T18:00+02:00"),
        ("2026-03-15T12:00", "America/New_York", "Europe/Berlin", "2026-03-15T17:00+01:00"),
        ("2026-01-01T00:30", "Asia/Kolkata", "UTC", "2025-12-31T19:00+00:00"),
    ],
)
async def test_zones_are_converted_by_the_rules_of_that_day(time, source, target, expected):
    """In mid-March America has daylight saving already, and Europe not yet."""
    made = await answer(ClockTools(), "timezone_converter", time=time, from_tz=source, to_tz=target)
    assert made["to"] == f"{expected} {target}"
    assert "note" not in made


async def test_a_time_that_clocks_skip_does_not_exist():
    tool = offered(ClockTools())["timezone_converter"]
    failed = await use(tool, time="2026-03-29T02:30", from_tz="Europe/Berlin", to_tz="UTC")
    assert failed.status == "error"
    assert "does not exist in Europe/Berlin: clocks are put forward 60 minutes" in failed.content


async def test_a_time_that_happens_twice_is_told_as_both():
    made = await answer(
        ClockTools(),
        "timezone_converter",
        time="2026-10-25T02:30",
        from_tz="Europe/Berlin",
        to_tz="UTC",
    )
    assert made["to"] == "2026-10-25T00:30+00:00 UTC"
    assert "2026-10-25T01:30+00:00 UTC" in made["note"]


@pytest.mark.parametrize(
    "wrong", [{"time": "noon"}, {"time": "2026-01-01T00:00Z"}, {"from_tz": "Atlantis"}]
)
async def test_a_conversion_says_what_it_cannot_read(wrong):
    given = {"time": "2026-01-01T00:00", "from_tz": "UTC", "to_tz": "UTC"} | wrong
    assert (await use(offered(ClockTools())["timezone_converter"], **given)).status == "error"


async def test_a_sample_is_described_with_an_interval_by_student_s_t():
    """The figures are R's: t.test(c(5.1, 4.9, 6.2, 5.8, 5.5))."""
    made = await answer(
        FigureTools(NoEngine()), "statistics_engine", data=[5.1, 4.9, 6.2, 5.8, 5.5]
    )
    assert made["mean"] == pytest.approx(5.5)
    assert made["stdev"] == pytest.approx(0.5244044)
    assert made["meanInterval"] == pytest.approx([4.848867, 6.151133], abs=1e-5)


async def test_two_samples_are_compared_by_welch_s_test():
    made = await answer(
        FigureTools(NoEngine()),
        "statistics_engine",
        test_type="compare",
        data=[1.0, 2.0, 3.0],
        other=[2.0, 4.0, 6.0],
    )
    assert made["t"] == pytest.approx(-1.549193)
    assert made["degreesOfFreedom"] == pytest.approx(2.941176)
    assert made["p"] == pytest.approx(0.2208, abs=2e-3)
    assert made["significant"] is False


async def test_pairs_are_correlated_with_the_line_through_them():
    made = await answer(
        FigureTools(NoEngine()),
        "statistics_engine",
        test_type="correlation",
        data=[1, 2, 3, 4],
        other=[2, 4, 5, 9],
    )
    assert made["r"] == pytest.approx(0.9647638)
    assert made["p"] == pytest.approx(1 - 0.9647638, abs=1e-5)  # so it is with two degrees
    assert (made["slope"], made["intercept"]) == pytest.approx((2.2, -0.5))


@pytest.mark.parametrize(
    "given",
    [
        {"data": [1, 2], "test_type": "compare"},
        {"data": [1, 1], "other": [2, 2], "test_type": "compare"},
        {"data": [1, 2], "other": [1, 2, 3], "test_type": "correlation"},
        {"data": [1, 1], "other": [1, 2], "test_type": "correlation"},
        {"data": [1]},
        {"data": [1, float("nan")]},
        {"data": [1, 2], "kind": "anova"},
    ],
)
async def test_statistics_that_mean_nothing_are_refused(given):
    tool = offered(FigureTools(NoEngine()))["statistics_engine"]
    assert (await use(tool, **given)).status == "error"


async def test_rows_are_analyzed_by_the_engine():
    engine = NoEngine()
    made = await answer(FigureTools(engine), "data_analyzer", data=[{"a": 1}], query="SELECT 1")
    assert made == {"columns": ["n"], "rows": [[1]], "truncated": False}
    await answer(FigureTools(engine), "data_analyzer", data=[{"a": 1}])
    assert engine.asked == [
        ("SELECT 1", {"data": [{"a": 1}]}),
        ("SUMMARIZE SELECT * FROM data", {"data": [{"a": 1}]}),
    ]


async def test_knowledge_is_searched_for_the_caller_s_tenant_and_session_only():
    notes = Notes(hit("Refunds take ten days.", 0.58, source="faq.md"), hit("Noise.", 0.1))
    ctx = Context("t", principal=Principal("ann", "acme"), session_id="s1")
    tool = knowing(notes, ctx)
    found = await use(tool, query="refunds")
    assert found.content == "“Refunds take ten days.” [faq.md, 0.58]"
    assert notes.searched == [("acme", "fake/words", 3, "s1")]


async def test_a_user_s_own_knowledge_is_quoted_beside_memories_and_nobody_else_s_is():
    kept, embedder = InMemoryKnowledge(), WordEmbedder()
    for user, text in (("ann", "refunds take ten days"), ("bob", "refunds are bob's secret")):
        chunk, vectors = Chunk(0, 0, text), await embedder.embed([text])
        about = replace(ENTRY, id=new_uuid(), title=f"{user}'s", content=text)
        await kept.put(Holder("acme", user), about, [chunk], vectors, 10)
    notes = Notes(hit("Refunds are slow.", 0.4, source="faq.md"))
    ctx = Context("t", principal=Principal("ann", "acme"))
    tool = knowing(notes, ctx, embedder, kept)
    first, second = (await use(tool, query="refunds take days")).content.splitlines()
    assert first.startswith("“refunds take ten days” [ann's, 0.8")
    assert second == "“Refunds are slow.” [faq.md, 0.40]"
    assert len((await use(tool, query="refunds", limit=1)).content.splitlines()) == 1


async def test_knowledge_without_a_match_says_so():
    tool = knowing(Notes())
    assert (await use(tool, query="refunds")).content.startswith("Nothing that is stored")


async def test_a_tool_without_its_model_tells_what_is_missing_instead_of_ending_the_talk():
    class NoWeights(WordEmbedder):
        async def embed(self, texts):
            raise ModelRequired("install the weights")

    tool = knowing(Notes(), embedder=NoWeights())
    found = await use(tool, query="refunds")
    assert (found.content, found.status) == ("install the weights", "error")


async def test_summaries_and_moods_name_the_model_that_made_them():
    tools = offered(texts())
    assert (await use(tools["summarize"], text="a b c d")).content == "a b c [fake/model]"
    assert (await use(tools["sentiment"], text="nice")).content == "neutral 1.00 [fake/mood]"


async def test_a_text_is_measured():
    made = await answer(texts(), "text_statistics", text="One two. Two is 3.5!\n\nThat's it.")
    assert (made["words"], made["differentWords"], made["sentences"]) == (8, 7, 3)
    assert (made["paragraphs"], made["tokens"]) == (2, 7)


@pytest.mark.parametrize("text", [" ", "x" * 20_001])
async def test_texts_are_bounded(text):
    assert (await use(offered(texts())["summarize"], text=text)).status == "error"


class Reports:
    async def check(self):
        from cartrita.providers.ports import ProbeReport

        return (
            ProbeReport("postgres", True, True, 1.0, "fine"),
            ProbeReport("model", False, False, 1.0, "gone"),
        )


async def test_the_status_is_what_the_probes_find():
    made = await answer(SystemTools(Reports(), Catalog.of([Chat])), "getSystemStatus")
    assert made["working"] is True
    assert [part["ok"] for part in made["parts"]] == [True, False]


async def test_the_agents_are_those_of_the_catalogue_with_the_tools_they_may_use():
    tools = SystemTools(Reports(), Catalog.of([Chat, Health]))
    plain = await answer(tools, "agent_role_call")
    assert [(item["agent"], item["team"]) for item in plain] == [
        ("chat", "intelligence"),
        ("health", "system"),
    ]
    assert "tools" not in plain[0]
    chat, health = await answer(tools, "agent_role_call", include_tools=True)
    assert "calculator" in chat["tools"]
    assert "statistics_engine" not in chat["tools"]
    assert health["tools"] == []
