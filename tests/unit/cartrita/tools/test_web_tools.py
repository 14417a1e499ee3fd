"""Tests of cartrita/tools/web.py."""

import json

import pytest

from cartrita.context import Context
from cartrita.errors import AddressRefused
from cartrita.providers.ports_web import Found
from cartrita.tools.registry import ToolRegistry
from cartrita.tools.web import WebTools
from tests.support.tools import by_name, use
from tests.support.web import FoundHits, GivenGitHub, GivenPages, hit

URL = "https://a.example/"
PAGES = {
    URL: "Text of A. " * 1000,
    "http://10.0.0.1/": AddressRefused("'10.0.0.1' is not on the public internet."),
}


def tools(agent="langchain", search=None, github=None):
    search = search or FoundHits(hit(1, "one"), hit(2, "two"), sources=("tavily", "arxiv"))
    made = WebTools(search, GivenPages(PAGES), github or GivenGitHub())
    return by_name(ToolRegistry([made]).tools(Context("t"), agent))


@pytest.mark.parametrize(
    "name", ["web_search", "tavily_search", "arxiv_search", "wikipedia_search"]
)
async def test_a_search_answers_titles_addresses_and_snippets(name):
    answer = await use(tools()[name], query="actors", limit=1)
    assert json.loads(answer.content) == [
        {"title": "Title 1", "url": "https://site1.example/", "snippet": "one"}
    ]


async def test_an_engine_that_is_not_configured_is_told_to_the_model():
    search = FoundHits(sources=(), problems=["'brave' is not configured: set web.brave_api_key."])
    answer = await use(tools(search=search)["brave_search"], query="x")
    assert (answer.status, "web.brave_api_key" in answer.content) == ("error", True)
    answer = await use(tools(search=search)["web_search"], query="x")
    assert (answer.status, "web.searxng_url" in answer.content) == ("error", True)


async def test_github_is_searched():
    github = GivenGitHub(Found("a/b", "https://github.com/a/b", "B", {"stars": 3}))
    answer = await use(tools(github=github)["github_search"], query="x", language="python")
    assert json.loads(answer.content) == [
        {"name": "a/b", "url": "https://github.com/a/b", "description": "B", "stars": 3}
    ]
    assert github.asked == [("repositories", "x", "python", None, 5)]


async def test_a_page_is_opened_with_its_links_or_read_as_text():
    told = json.loads((await use(tools()["web_browser"], url=URL, max_length=100)).content)
    assert (told["url"], len(told["text"]), told["truncated"]) == (URL, 100, True)
    assert told["links"] == [{"url": "https://elsewhere.example/", "text": "there"}]
    told = json.loads((await use(tools()["web_browser"], url=URL, extract="links")).content)
    assert set(told) == {"url", "title", "links"}
    told = json.loads((await use(tools()["url_scraper"], url=URL)).content)
    assert set(told) == {"url", "title", "text", "truncated"}


@pytest.mark.parametrize("name", ["web_browser", "url_scraper"])
async def test_an_address_inside_is_refused_and_told_to_the_model(name):
    answer = await use(tools()[name], url="http://10.0.0.1/")
    assert (answer.status, "not on the public internet" in answer.content) == ("error", True)


def test_pages_are_for_those_whose_work_is_reading_them():
    assert {"web_browser", "url_scraper"}.isdisjoint(tools("chat"))
    assert "web_search" in tools("chat")
    assert tools("comedian") == {}
