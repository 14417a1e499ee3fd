"""GitHub's search, against a local server that speaks its API."""

import pytest

from cartrita.clock import ManualClock
from cartrita.errors import (
    AgentFailed,
    ConfigurationInvalid,
    InvalidParameters,
    NetworkFailed,
    RateLimitExceeded,
)
from cartrita.providers.guarded import Flow, Guarded
from cartrita.providers.web.asking import to_services
from cartrita.providers.web.github import KEPT, GitHub
from cartrita.storage.memory_circuits import InMemoryCircuits
from tests.support.site import Reply, data, site

REPOSITORIES = {
    "total_count": 812,
    "items": [
        {
            "full_name": "jodal/pykka",
            "html_url": "https://github.com/jodal/pykka",
            "description": "Actors",
            "stargazers_count": 1200,
            "language": "Python",
            "archived": False,
            "pushed_at": "2026-05-01T00:00:00Z",
        },
        {"full_name": "a/b", "html_url": "https://github.com/a/b", "description": None},
    ],
}


class Here:
    """GitHub, as it is configured, and its server."""

    def __init__(self, server, token=None):
        self.server, self.clock = server, ManualClock()
        egress = to_services("Cartrita/3.0")
        guard = Guarded(Flow(InMemoryCircuits()).lane("github"))
        self.github = GitHub(egress, self.clock, server.url, token, guard=guard)

    async def find(self, kind="repositories", query="actors", **more):
        options = {"language": None, "sort": None, "limit": 10} | more
        return await self.github.search(kind, query, **options)


@pytest.fixture
async def here():
    async with site({"/search/repositories": data(REPOSITORIES)}) as server:
        here = Here(server)
        yield here
        await here.github.close()


async def test_repositories_are_found_with_what_is_told_of_them(here):
    found = await here.find(language="jupyter notebook", sort="stars", limit=2)
    assert here.server.visits[0].query == {
        "q": 'actors language:"jupyter notebook"',
        "per_page": "2",
        "sort": "stars",
    }
    assert here.server.visits[0].headers["accept"] == "application/vnd.github+json"
    assert "authorization" not in here.server.visits[0].headers
    assert (found.total, found.cached) == (812, False)
    pykka, other = found.items
    assert (pykka.name, pykka.url, pykka.description) == (
        "jodal/pykka",
        "https://github.com/jodal/pykka",
        "Actors",
    )
    assert pykka.facts == {
        "stars": 1200,
        "language": "Python",
        "updatedAt": "2026-05-01T00:00:00Z",
    }
    assert (other.description, other.facts) == ("", {})


async def test_code_issues_and_users_are_found_too():
    code = {
        "name": "actor.py",
        "path": "src/actor.py",
        "html_url": "https://github.com/a/b/blob/x/src/actor.py",
        "repository": {"full_name": "a/b"},
    }
    issue = {"title": "It hangs", "body": "Really", "html_url": "https://github.com/a/b/issues/1"}
    issue |= {"state": "open", "number": 1, "comments": 0}
    user = {"login": "ada", "html_url": "https://github.com/ada", "type": "User"}
    pages = {
        f"/search/{kind}": data({"total_count": 1, "items": [item]})
        for kind, item in (("code", code), ("issues", issue), ("users", user))
    }
    async with site(pages) as server:
        here = Here(server, token="ghp_secret")
        (found,) = (await here.find("code")).items
        assert found.facts == {"path": "src/actor.py", "repository": "a/b"}
        (found,) = (await here.find("issues")).items
        assert (found.name, found.facts) == ("It hangs", {"state": "open", "number": 1})
        (found,) = (await here.find("users")).items
        assert (found.name, found.facts) == ("ada", {"type": "User"})
        assert server.visits[0].headers["authorization"] == "Bearer ghp_secret"
        await here.github.close()


async def test_an_answer_is_given_again_for_five_minutes(here):
    first = await here.find()
    again = await here.find()
    assert (first.cached, again.cached) == (False, True)
    assert again.items == first.items
    assert not (await here.find(limit=3)).cached
    here.clock.advance(KEPT)
    assert not (await here.find()).cached
    assert len(here.server.visits) == 3


async def test_when_it_was_asked_too_often_it_says_when_again_and_is_left_alone(here):
    reset = str(int(here.clock.now()) + 42)
    limited = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
    here.server.pages["/search/repositories"] = Reply("{}", 403, "application/json", limited)
    with pytest.raises(RateLimitExceeded) as caught:
        await here.find()
    assert caught.value.retry_after == 42
    assert "web.github_token" in caught.value.message
    here.server.pages["/search/repositories"] = data(REPOSITORIES)
    here.clock.advance(20)
    with pytest.raises(RateLimitExceeded) as caught:
        await here.find()
    assert caught.value.retry_after == 22
    assert here.server.connections == 1
    here.clock.advance(22)
    assert (await here.find()).total == 812


@pytest.mark.parametrize(
    ("status", "headers", "wait"), [(429, {}, 60), (403, {"retry-after": "7"}, 7)]
)
async def test_the_secondary_limit_is_minded_as_well(here, status, headers, wait):
    here.server.pages["/search/repositories"] = Reply("{}", status, "application/json", headers)
    with pytest.raises(RateLimitExceeded) as caught:
        await here.find()
    assert caught.value.retry_after == wait


@pytest.mark.parametrize(
    ("reply", "error", "text"),
    [
        (Reply("{}", 401, "application/json"), ConfigurationInvalid, "web.github_token"),
        (Reply("{}", 403, "application/json"), ConfigurationInvalid, "web.github_token"),
        (Reply("{}", 422, "application/json"), InvalidParameters, "query"),
        (Reply("{}", 502, "application/json"), NetworkFailed, "502"),
        (Reply("{}", 404, "application/json"), AgentFailed, "404"),
        (data({"items": [{}], "total_count": 1}), AgentFailed, "form"),
        (data([]), AgentFailed, "form"),
    ],
)
async def test_other_answers_are_told_as_what_they_mean(here, reply, error, text):
    here.server.pages["/search/repositories"] = reply
    with pytest.raises(error, match=text):
        await here.find()
