"""Tests of actors/agents/researcher.py."""

from decimal import Decimal

import pytest

from actors.agents.researcher import LONGEST_TEXT, MOST_URLS, Researcher
from cartrita.clock import ManualClock, new_uuid
from cartrita.errors import (
    AddressRefused,
    AuthorizationFailed,
    InsufficientBudget,
    InvalidParameters,
    NetworkFailed,
)
from cartrita.protocol.principal import Principal, Role
from cartrita.protocol.task import Budget
from cartrita.providers.ports import Embedder
from cartrita.providers.ports_web import Found, GitHubSearch, Page, WebFetch, WebSearch
from cartrita.storage.memory import InMemoryMemories
from cartrita.storage.ports import Memories, MemoryRecord
from cartrita.testing import run_task
from tests.support.fakes import WordEmbedder
from tests.support.web import FoundHits, GivenGitHub, GivenPages, hit

SEARCH, SCRAPE, GITHUB = "research.web.search", "research.web.scrape", "research.github.search"
ADA = Principal("ada", "tenant-a", frozenset({Role.USER}))


class Bench:
    """A researcher's world, and what came of a task."""

    def __init__(self, search=None, pages=None, github=None):
        self.search, self.pages = search or FoundHits(sources=()), GivenPages(pages)
        self.github, self.memories = github or GivenGitHub(), InMemoryMemories()
        self.embedder = WordEmbedder()
        self.warnings, self.usages, self.measures = [], [], {}

    async def remember(self, text, tenant=ADA.tenant, **metadata):
        record = MemoryRecord(new_uuid(), text, 0.0, metadata=metadata)
        vectors = await self.embedder.embed([text])
        await self.memories.store(tenant, [record], vectors, self.embedder.info.model)

    async def run(self, task, params, **context):
        providers = {
            WebSearch: self.search,
            WebFetch: self.pages,
            GitHubSearch: self.github,
            Memories: self.memories,
            Embedder: self.embedder,
        }
        told = {"warnings": self.warnings, "usages": self.usages, "measures": self.measures}
        told |= {"principal": ADA} | context
        return (await run_task(Researcher, task, params, providers, **told)).to_wire()


@pytest.mark.parametrize("task", [spec.name for spec in Researcher.spec.tasks])
async def test_every_example_runs_without_any_key(task):
    (spec,) = (spec for spec in Researcher.spec.tasks if spec.name == task)
    assert await Bench().run(task, spec.example)


async def test_a_search_tells_what_was_found_and_by_whom():
    bench = Bench(FoundHits(hit(1, "one"), hit(2, "two")))
    result = await bench.run(SEARCH, {"query": "actors"}, clock=ManualClock(1_700_000_000.0))
    assert result == {
        "query": "actors",
        "results": [
            {
                "title": f"Title {n}",
                "url": f"https://site{n}.example/",
                "content": text,
                "source": "tavily",
            }
            for n, text in ((1, "one"), (2, "two"))
        ],
        "totalResults": 2,
        "searchTime": 0,
        "sources": ["tavily"],
        "scope": "web",
        "metadata": {"timestamp": "2023-11-14T22:13:20.000+00:00", "sources": ["tavily"]},
    }
    assert bench.search.asked == [("actors", 10, ())]
    assert bench.measures == {"searchResultsCount": 2}
    assert bench.warnings == []


async def test_sources_are_the_caller_s_choice_and_those_that_fail_are_told():
    bench = Bench(FoundHits(hit(1), problems=["serp: no"]))
    result = await bench.run(SEARCH, {"query": "x", "sources": ["wikipedia"], "limit": 3})
    assert bench.search.asked == [("x", 3, ("wikipedia",))]
    assert (result["sources"], bench.warnings) == (["wikipedia"], ["serp: no"])


async def test_without_an_engine_the_tenant_s_own_texts_are_searched_and_no_address_made_up():
    bench = Bench()
    await bench.remember("refunds take ten days", source="faq.md")
    await bench.remember("refunds are paid", url="https://shop.example/refunds", title="Refunds")
    await bench.remember("refunds of somebody else", tenant="tenant-b")
    await bench.remember("refunds by script", url="javascript:alert(1)")
    result = await bench.run(SEARCH, {"query": "refunds"})
    assert (result["scope"], result["sources"]) == ("local-corpus", ["local-corpus"])
    found = {item["content"]: item for item in result["results"]}
    assert set(found) == {"refunds take ten days", "refunds are paid", "refunds by script"}
    assert "url" not in found["refunds take ten days"]
    assert "url" not in found["refunds by script"]
    assert found["refunds take ten days"]["title"] == "faq.md"
    assert found["refunds are paid"]["url"] == "https://shop.example/refunds"
    assert found["refunds are paid"]["score"] > 0.5
    (warning,) = bench.warnings
    assert "web.searxng_url" in warning


async def test_a_source_that_is_not_configured_leaves_the_tenant_s_own_texts():
    bench = Bench(FoundHits(sources=(), problems=["'tavily' is not configured: set x."]))
    result = await bench.run(SEARCH, {"query": "refunds", "sources": ["tavily"]})
    assert (result["scope"], result["results"]) == ("local-corpus", [])
    assert bench.warnings[0] == "'tavily' is not configured: set x."


async def test_the_tenant_s_own_texts_can_be_asked_for_though_there_are_engines():
    bench = Bench(FoundHits(hit(1)))
    await bench.remember("refunds take ten days")
    result = await bench.run(SEARCH, {"query": "refunds", "sources": ["local-corpus"]})
    assert (result["scope"], result["totalResults"]) == ("local-corpus", 1)
    assert (bench.search.asked, bench.warnings) == ([], [])


async def test_pages_come_in_the_order_they_were_asked_for_with_those_that_failed():
    urls = ["https://a.example/", "http://10.0.0.1/", "https://b.example/", "https://c.example/"]
    bench = Bench(
        pages={
            urls[0]: Page(urls[0] + "x", "A", "Text of A", metadata={"author": "Ada"}),
            urls[1]: AddressRefused("'10.0.0.1' is not on the public internet."),
            urls[2]: AuthorizationFailed("The robots.txt does not allow that."),
        }
    )
    result = await bench.run(SCRAPE, {"urls": urls})
    assert result["urls"] == urls
    first, *others = result["results"]
    assert first == {
        "url": urls[0],
        "success": True,
        "title": "A",
        "content": "Text of A",
        "truncated": False,
        "links": [],
        "metadata": {"finalUrl": "https://a.example/x", "contentType": "text/html"},
    }
    assert [(one["success"], one["errorCode"]) for one in others] == [
        (False, "INVALID_PARAMETERS"),
        (False, "AUTHORIZATION_FAILED"),
        (False, "NETWORK_ERROR"),
    ]
    assert result["metadata"]["totalUrls"] == 4
    assert result["metadata"]["successfulScrapes"] == 1


async def test_only_what_is_asked_for_is_taken_out_of_a_page():
    url = "https://a.example/"
    page = Page(url, "A", "x" * (LONGEST_TEXT + 1), metadata={"author": "Ada"})
    bench = Bench(pages={url: page})
    (told,) = (await bench.run(SCRAPE, {"urls": [url], "extractors": ["metadata"]}))["results"]
    assert "content" not in told
    assert "links" not in told
    assert told["metadata"]["author"] == "Ada"
    (told,) = (await bench.run(SCRAPE, {"urls": [url], "extractors": ["text"]}))["results"]
    assert (len(told["content"]), told["truncated"]) == (LONGEST_TEXT, True)


async def test_each_address_costs_half_a_cent_and_a_budget_is_looked_at_before():
    bench = Bench(pages={"https://a.example/": "A"})
    urls = ["https://a.example/"] * 3
    await bench.run(SCRAPE, {"urls": urls})
    assert sum(usage.usd for usage in bench.usages) == Decimal("0.015")
    with pytest.raises(InsufficientBudget, match=r"0\.015 USD"):
        await bench.run(SCRAPE, {"urls": urls}, budget=Budget(max_usd=0.01))
    assert len(bench.pages.asked) == 3


@pytest.mark.parametrize(
    "params",
    [
        *({"urls": []}, {"urls": ["https://a.example/"] * (MOST_URLS + 1)}, {"urls": [" "]}),
        {"urls": ["https://a.example/"], "extractors": ["images"]},
    ],
)
async def test_what_is_no_list_of_addresses_is_refused(params):
    with pytest.raises(InvalidParameters):
        await Bench().run(SCRAPE, params)


async def test_github_is_searched_as_the_caller_wants():
    github = GivenGitHub(Found("a/b", "https://github.com/a/b", "B", {"stars": 3}), cached=True)
    bench = Bench(github=github)
    params = {"query": "actors", "type": "code", "language": "python", "sort": "stars", "limit": 2}
    result = await bench.run(GITHUB, params)
    assert github.asked == [("code", "actors", "python", "stars", 2)]
    assert result == {
        "query": "actors",
        "type": "code",
        "results": [
            {
                "name": "a/b",
                "url": "https://github.com/a/b",
                "description": "B",
                "facts": {"stars": 3},
            }
        ],
        "totalResults": 1,
        "cached": True,
    }


async def test_an_engine_that_cannot_be_reached_is_an_error_not_an_empty_answer():
    class Broken(FoundHits):
        async def search(self, query, limit, sources=()):
            raise NetworkFailed("No search engine answered.")

    with pytest.raises(NetworkFailed):
        await Bench(Broken()).run(SEARCH, {"query": "x"})
