"""Pages and robots.txt, over real sockets."""

import asyncio

import pytest

from cartrita.clock import ManualClock
from cartrita.egress.client import Bounds, Egress
from cartrita.egress.policy import public
from cartrita.errors import AddressRefused, AgentFailed, AuthorizationFailed, NetworkFailed
from cartrita.providers.web.pages import Pages
from cartrita.providers.web.robots import KEPT, KEPT_FAILURE
from tests.support.site import HANG, Reply, moved, site

HERE = "127.0.0.2"
PAGE = Reply("<title>Hello</title><p>World, <a href='/next'>next</a></p>")
BOUNDS = Bounds(seconds=2.0)


class Reader:
    """Pages, and a clock to turn."""

    def __init__(self, bounds=BOUNDS):
        self.clock = ManualClock()
        policy = public([f"{HERE}/32"], ["1-65535"])
        egress = Egress(policy, user_agent="Cartrita/3.0", bounds=bounds)
        self.pages = Pages(egress, self.clock, "Cartrita")

    async def read(self, url):
        return await self.pages.fetch(url)


@pytest.fixture
async def reader():
    reader = Reader()
    yield reader
    await reader.pages.close()


@pytest.fixture
async def here():
    async with site({"/": PAGE}, host=HERE) as made:
        yield made


def robots(here, text, status=200):
    here.pages["/robots.txt"] = Reply(text, status, "text/plain")


async def test_a_page_is_read(here, reader):
    page = await reader.read(f"{here.url}/")
    assert (page.title, page.content, page.url) == ("Hello", "World, next", f"{here.url}/")
    assert [link.url for link in page.links] == [f"{here.url}/next"]
    assert [visit.path for visit in here.visits] == ["/robots.txt", "/"]


async def test_what_robots_txt_forbids_is_not_asked_for(here, reader):
    robots(here, "User-agent: *\nDisallow: /private/*.html$\nAllow: /private/open\n")
    here.pages |= {"/private/a.html": PAGE, "/private/open.html": PAGE}
    with pytest.raises(AuthorizationFailed, match=r"robots\.txt"):
        await reader.read(f"{here.url}/private/a.html")
    assert here.asked("/private/a.html") == []
    assert (await reader.read(f"{here.url}/")).title == "Hello"


async def test_rules_for_us_win_over_rules_for_all(here, reader):
    robots(here, "User-agent: *\nDisallow:\n\nUser-agent: cartrita\nDisallow: /\n")
    with pytest.raises(AuthorizationFailed):
        await reader.read(f"{here.url}/")
    robots(here, "User-agent: *\nDisallow: /\n\nUser-agent: cartrita\nDisallow:\n")
    reader.clock.advance(KEPT)
    assert (await reader.read(f"{here.url}/")).title == "Hello"


async def test_rules_are_asked_for_once_an_hour_even_by_many_at_once(here, reader):
    await asyncio.gather(*(reader.read(f"{here.url}/") for _ in range(5)))
    assert len(here.asked("/robots.txt")) == 1
    reader.clock.advance(KEPT)
    await reader.read(f"{here.url}/")
    assert len(here.asked("/robots.txt")) == 2


@pytest.mark.parametrize("reply", [Reply("", 404), Reply("", 403), Reply(b"x", 200, "image/png")])
async def test_without_rules_all_may_be_read(here, reader, reply):
    here.pages["/robots.txt"] = reply
    assert (await reader.read(f"{here.url}/")).title == "Hello"


@pytest.mark.parametrize("reply", [Reply("", 503), Reply("", 429), HANG])
async def test_while_a_site_cannot_tell_its_rules_nothing_is_read(here, reply):
    reader = Reader(Bounds(seconds=0.3))
    here.pages["/robots.txt"] = reply
    with pytest.raises((AuthorizationFailed, NetworkFailed)):
        await reader.read(f"{here.url}/")
    assert here.asked("/") == []
    robots(here, "")
    reader.clock.advance(KEPT_FAILURE)
    if reply is not HANG:
        assert (await reader.read(f"{here.url}/")).title == "Hello"
    await reader.pages.close()


async def test_rules_of_where_a_redirect_leads_hold_there(here, reader):
    robots(here, "User-agent: *\nDisallow: /private\n")
    here.pages |= {"/open": moved("/private"), "/private": PAGE}
    with pytest.raises(AuthorizationFailed):
        await reader.read(f"{here.url}/open")
    assert here.asked("/private") == []


async def test_robots_txt_cannot_lead_us_inside(here, reader):
    async with site({"/": Reply("secret", kind="text/plain")}) as secret:
        here.pages["/robots.txt"] = moved(f"{secret.url}/")
        with pytest.raises(AddressRefused):
            await reader.read(f"{here.url}/")
        assert secret.connections == 0


@pytest.mark.parametrize(("status", "error"), [(404, AgentFailed), (503, NetworkFailed)])
async def test_an_error_is_no_page(here, reader, status, error):
    here.pages["/"] = Reply("<p>Sorry</p>", status)
    with pytest.raises(error, match=f"answered {status}"):
        await reader.read(f"{here.url}/")


async def test_what_is_nothing_to_read_is_refused(here, reader):
    here.pages["/"] = Reply(b"%PDF", kind="application/pdf")
    with pytest.raises(AgentFailed, match="application/pdf"):
        await reader.read(f"{here.url}/")
