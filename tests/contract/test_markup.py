"""Reading HTML in a process that can be killed."""

import pytest

from cartrita.errors import AgentFailed
from cartrita.providers.ports_web import Link
from cartrita.providers.web.markup import SECONDS, Markup

URL = "https://a.example/"
HOSTILE = {
    "deep": "<div>" * 400_000,
    "many attributes": "<p " + " ".join(f"a{n}" for n in range(300_000)) + ">",
    "never closed": "".join(f"<b id={n}><p>" for n in range(100_000)),
}


@pytest.fixture
def markup():
    markup = Markup()
    yield markup
    markup.close()


async def test_a_page_is_read_by_a_process_that_is_kept_for_the_next(markup):
    page = await markup.read(URL, "<title>T</title><p>é <a href=/x>there</a>", "text/html")
    assert (page.url, page.title, page.content, page.kind) == (URL, "T", "é there", "text/html")
    assert page.links == (Link(f"{URL}x", "there"),)
    (kept,) = markup._children._idle
    await markup.read(URL, "again", "text/html")
    assert markup._children._idle == [kept]


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_page_that_takes_for_ever_is_given_up_and_the_next_is_read(markup, kind):
    markup._seconds = 0.8
    with pytest.raises(AgentFailed, match="takes too much"):
        await markup.read(URL, HOSTILE[kind], "text/html")
    assert markup._children._idle == []
    markup._seconds = SECONDS
    assert (await markup.read(URL, "<p>well", "text/html")).content == "well"


async def test_a_kept_process_that_died_is_replaced_unnoticed(markup):
    await markup.read(URL, "<p>one", "text/html")
    markup._children._idle[0]._popen.kill()
    markup._children._idle[0]._popen.wait()
    assert (await markup.read(URL, "<p>two", "text/html")).content == "two"
