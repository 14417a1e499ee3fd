"""Search engines, against local servers that speak their APIs."""

import pytest
from pydantic import SecretStr

from cartrita.config.sections import Models
from cartrita.config.settings import Settings
from cartrita.config.web import Web
from cartrita.egress.client import Bounds
from cartrita.errors import NetworkFailed
from cartrita.openers.guarded import open_flow
from cartrita.openers.web import open_search
from tests.support.site import HANG, Reply, data, moved, site

FEED = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>arXiv Query</title>
<entry><id>http://arxiv.org/abs/1505.07368v1</id><published>2015-05-27T15:06:33Z</published>
<title>43 Years of Actors:
 a Taxonomy</title><summary>The Actor Model.</summary></entry></feed>"""

PAGES = {
    "/tavily/search": data(
        {
            "query": "actors",
            "results": [
                {"title": "T1", "url": "https://a.example/1", "content": "one", "score": 0.9},
                {"title": "T2", "url": "https://b.example/", "content": "two", "score": 0.8},
            ],
        }
    ),
    "/serp/search.json": data(
        {
            "organic_results": [
                {"position": 1, "title": "S1", "link": "https://c.example/", "snippet": "three"},
                {"position": 2, "title": "S2", "link": "https://b.example/#x", "snippet": "two"},
            ]
        }
    ),
    "/brave/res/v1/web/search": data(
        {
            "web": {
                "results": [
                    {
                        "title": "B&amp;1",
                        "url": "https://d.example/",
                        "description": "<strong>four</strong> actors",
                        "age": "2 days ago",
                    }
                ]
            }
        }
    ),
    "/searxng/search": data(
        {
            "results": [
                {"title": "X1", "url": "https://e.example/", "content": "five", "engine": "ddg"},
                {"title": "bad", "url": "javascript:alert(1)", "content": "no"},
                {"title": "X2", "url": "https://f.example/", "content": "six"},
            ]
        }
    ),
    "/wikipedia/w/api.php": data(
        {"query": {"search": [{"title": "Actor model", "snippet": "an <span>actor</span>"}]}}
    ),
    "/arxiv/api/query": Reply(FEED, kind="application/atom+xml"),
}


class Installation:
    """Engines that are configured, and the server that plays them all."""

    def __init__(self, server, *names, flow=None, **web):
        self.server = server
        at = {f"{name}_url": f"{server.url}/{name}" for name in ("tavily", "brave", "arxiv")}
        at |= {"serpapi_url": f"{server.url}/serp", "wikipedia_url": f"{server.url}/wikipedia"}
        if "searxng" in names:
            at["searxng_url"] = f"{server.url}/searxng"
        keys = {"serp": "serpapi_api_key", "brave": "brave_api_key"}
        at |= {keys[name]: SecretStr(f"key-{name}") for name in names if name in keys}
        tavily = SecretStr("key-tavily") if "tavily" in names else None
        settings = Settings(web=Web(**at, **web), models=Models(tavily_api_key=tavily))
        self.search = open_search(settings, flow or open_flow(settings))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self.search.close()

    async def find(self, *sources, limit=10):
        return await self.search.search("actors & more", limit, sources)


@pytest.fixture
async def server():
    async with site(PAGES) as made:
        yield made


async def test_tavily_is_asked_as_its_api_wants(server):
    async with Installation(server, "tavily") as here:
        found = await here.find(limit=3)
    (visit,) = server.visits
    assert (visit.method, visit.headers["authorization"]) == ("POST", "Bearer key-tavily")
    assert visit.json == {"query": "actors & more", "max_results": 3}
    assert [(hit.title, hit.url, hit.snippet, hit.source) for hit in found.hits] == [
        ("T1", "https://a.example/1", "one", "tavily"),
        ("T2", "https://b.example/", "two", "tavily"),
    ]
    assert (found.sources, found.problems) == (("tavily",), ())


async def test_serpapi_is_asked_as_its_api_wants(server):
    async with Installation(server, "serp") as here:
        found = await here.find(limit=3)
    asked = {"engine": "google", "q": "actors & more", "num": "3", "api_key": "key-serp"}
    assert server.visits[0].query == asked
    assert [hit.url for hit in found.hits] == ["https://c.example/", "https://b.example/#x"]


async def test_brave_is_asked_as_its_api_wants(server):
    async with Installation(server, "brave") as here:
        (hit,) = (await here.find(limit=30)).hits
    (visit,) = server.visits
    assert visit.headers["x-subscription-token"] == "key-brave"
    assert visit.query == {"q": "actors & more", "count": "20"}
    assert (hit.title, hit.snippet, hit.published) == ("B&1", "four actors", "2 days ago")


async def test_searxng_is_asked_as_its_api_wants(server):
    async with Installation(server, "searxng") as here:
        found = await here.find()
    assert server.visits[0].query == {"q": "actors & more", "format": "json"}
    assert [hit.title for hit in found.hits] == ["X1", "X2"]


async def test_wikipedia_and_arxiv_are_asked_by_name_only(server):
    async with Installation(server, "tavily") as here:
        assert (await here.find()).sources == ("tavily",)
        found = await here.find("wikipedia", "arxiv")
    wiki, paper = found.hits
    assert (wiki.title, wiki.snippet) == ("Actor model", "an actor")
    assert wiki.url == f"{server.url}/wikipedia/wiki/Actor_model"
    assert (paper.title, paper.url) == (
        "43 Years of Actors: a Taxonomy",
        "https://arxiv.org/abs/1505.07368v1",
    )
    assert (paper.snippet, paper.published) == ("The Actor Model.", "2015-05-27T15:06:33Z")


async def test_several_are_mixed_by_rank_and_every_address_stands_once(server):
    async with Installation(server, "tavily", "serp", "brave", "searxng") as here:
        assert here.search.sources == ("tavily", "serp", "brave", "searxng")
        found = await here.find()
        assert [hit.title for hit in found.hits] == ["T1", "S1", "B&1", "X1", "T2", "X2"]
        assert len((await here.find(limit=2)).hits) == 2


@pytest.mark.parametrize(
    "reply",
    [
        *(Reply("", status) for status in (400, 401, 403, 429, 500, 503)),
        Reply("no json", kind="application/json"),
        Reply("<p>hello</p>"),
        moved("http://127.0.0.1/"),
        *(data(body) for body in ([], {"results": {}}, {"results": [1]}, {"results": "x"})),
    ],
)
async def test_one_that_fails_is_told_and_the_others_answer(server, reply):
    server.pages["/tavily/search"] = reply
    async with Installation(server, "tavily", "brave") as here:
        found = await here.find()
        assert (found.sources, len(found.hits)) == (("brave",), 1)
        (problem,) = found.problems
        assert problem.startswith("tavily: ")
        assert "key-tavily" not in problem
    async with Installation(server, "tavily") as here:
        with pytest.raises(NetworkFailed, match="tavily"):
            await here.find()


async def test_a_key_that_is_not_accepted_is_told_with_the_setting_to_look_at(server):
    server.pages["/serp/search.json"] = Reply("", 401)
    async with Installation(server, "serp") as here:
        with pytest.raises(NetworkFailed, match=r"web\.serpapi_api_key") as caught:
            await here.find()
    assert "key-serp" not in str(caught.value)


async def test_a_source_that_is_not_configured_is_told_with_its_setting(server):
    async with Installation(server) as here:
        assert here.search.sources == ()
        found = await here.find("tavily", "altavista")
        assert found.hits == found.sources == ()
        first, second = found.problems
        assert "set models.tavily_api_key" in first
        assert "no source 'altavista'" in second
    assert server.connections == 0


async def test_an_engine_with_nothing_to_say_has_found_nothing(server):
    server.pages["/tavily/search"] = data({"results": []})
    server.pages["/brave/res/v1/web/search"] = data({"query": {}})
    async with Installation(server, "tavily", "brave") as here:
        assert (await here.find()).hits == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_a_feed_with_a_document_type_is_not_even_parsed(server, encoding):
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><feed>&b;</feed>'.encode(encoding)
    server.pages["/arxiv/api/query"] = Reply(bomb, kind="application/atom+xml")
    async with Installation(server) as here:
        with pytest.raises(NetworkFailed, match=r"document type|no feed"):
            await here.find("arxiv")


async def test_an_engine_that_hangs_is_not_waited_for(server):
    server.pages["/searxng/search"] = HANG
    async with Installation(server, "searxng") as here:
        here.search._egress._bounds = Bounds(seconds=0.3)
        with pytest.raises(NetworkFailed, match="did not answer"):
            await here.find()
