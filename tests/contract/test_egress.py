"""The way out, over real sockets: what may not be called sees no connection at all."""

import gzip
import os
import ssl
import zlib
from ipaddress import ip_address

import pytest

from cartrita.auth.certificates import CA, CERT, KEY, issue, make_authority
from cartrita.clock import SystemClock
from cartrita.egress.client import Bounds, Egress
from cartrita.egress.policy import public
from cartrita.errors import AddressRefused, AgentFailed, NetworkFailed
from cartrita.telemetry.log import about
from tests.support.site import HANG, Reply, moved, site
from tests.support.spellings import spellings

HERE, SECRET = "127.0.0.2", "127.0.0.1"
HTML = ("text/html",)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BOUNDS = Bounds(bytes=100_000, seconds=5.0, redirects=3)
ANY_PORT = ("1-65535",)


class Names:
    """A name server that says what it is told, one answer after the other."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    async def __call__(self, host, port):
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(address) for address in answer]


def egress(allow=(f"{HERE}/32",), bounds=BOUNDS, ports=ANY_PORT, **more):
    return Egress(public(allow, ports), bounds=bounds, **more)


async def get(url, *, kinds=HTML, **more):
    client = egress(**more)
    try:
        return await client.ask(url, kinds=kinds)
    finally:
        await client.close()


@pytest.fixture
async def secret():
    """A server inside that nobody may reach."""
    async with site({"/": Reply("the crown jewels")}, host=SECRET) as made:
        yield made
        assert made.connections == 0


@pytest.fixture
async def here():
    """A server that stands for the public internet."""
    async with site({"/": Reply("hello")}, host=HERE) as made:
        yield made


async def test_what_is_public_is_reached(here):
    answer = await get(f"{here.url}/")
    assert (answer.status, answer.kind, answer.body) == (200, "text/html", b"hello")
    assert (answer.charset, answer.ok, answer.url) == ("utf-8", True, f"{here.url}/")
    assert here.visits[0].headers["host"] == f"{HERE}:{here.port}"
    assert here.visits[0].headers["user-agent"] == "Cartrita"


async def test_what_is_asked_for_a_task_says_which_trace_that_belongs_to(here):
    await get(f"{here.url}/")
    about(TRACE, "a task")
    await get(f"{here.url}/")
    assert [visit.headers.get("traceparent") for visit in here.visits] == [None, TRACE]


async def test_a_server_inside_sees_no_connection_whatever_its_address_is_spelled(secret):
    hosts = [*spellings(SECRET).values(), *spellings("0.0.0.0").values()]
    hosts += ["localhost", "LOCALHOST", "localhost.", "[::1]", "[::]", f"a@{SECRET}"]
    client = egress()
    for host in hosts:
        with pytest.raises(AddressRefused):
            await client.ask(f"http://{host}:{secret.port}/", kinds=HTML)
    await client.close()


async def test_the_same_server_is_reached_where_an_operator_allows_it():
    async with site({"/": Reply("ours")}, host=SECRET) as intranet:
        assert (await get(f"{intranet.url}/", allow=["127.0.0.0/8"])).body == b"ours"


async def test_a_name_is_resolved_once_and_the_connection_goes_where_was_looked(here, secret):
    secret_or_here = Names([HERE], [SECRET])
    client = egress(resolve=secret_or_here)
    # Both listen on one port number only if we are lucky; the first answer is what counts.
    answer = await client.ask(f"http://rebind.test:{here.port}/", kinds=HTML)
    assert answer.body == b"hello"
    assert secret_or_here.asked == ["rebind.test"]
    with pytest.raises(AddressRefused):
        await client.ask(f"http://rebind.test:{secret.port}/", kinds=HTML)
    assert secret_or_here.asked == ["rebind.test"] * 2
    await client.close()


async def test_a_name_with_one_address_inside_is_not_called_at_its_other(here, secret):
    for mixed in ([HERE, SECRET], [SECRET, HERE]):
        with pytest.raises(AddressRefused):
            await get(f"http://both.test:{here.port}/", resolve=Names(mixed))
    assert here.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_inside_is_refused(here, secret, status):
    for host in (SECRET, "localhost", "2130706433", "127.1", "[::1]", "[::ffff:127.0.0.1]"):
        here.pages["/"] = moved(f"http://{host}:{secret.port}/", status)
        with pytest.raises(AddressRefused):
            await get(f"{here.url}/")
    here.pages["/"] = moved(f"//{SECRET}:{secret.port}/", status)
    with pytest.raises(AddressRefused):
        await get(f"{here.url}/")


async def test_a_redirect_to_a_name_that_leads_inside_by_then_is_refused(here, secret):
    here.pages["/"] = moved(f"http://rebind.test:{secret.port}/")
    with pytest.raises(AddressRefused):
        await get(f"http://rebind.test:{here.port}/", resolve=Names([HERE], [SECRET]))
    assert here.connections == 1


@pytest.mark.parametrize(
    "where", ["file:///etc/passwd", "gopher://127.0.0.1:6379/", "ftp://x.test/", "data:text/html,x"]
)
async def test_a_redirect_to_anything_but_the_web_is_refused(here, where):
    here.pages["/"] = moved(where)
    with pytest.raises((AddressRefused, NetworkFailed)):
        await get(f"{here.url}/")
    assert here.connections == 1


async def test_a_redirect_to_another_port_is_refused(here):
    here.pages["/"] = moved(f"http://{HERE}:6379/")
    with pytest.raises(AddressRefused, match="Port 6379"):
        await get(f"{here.url}/", ports=(str(here.port),))


async def test_redirects_are_followed_a_few_times(here):
    here.pages |= {"/a": moved("/b"), "/b": moved("c", 303), "/c": moved("/")}
    assert (await get(f"{here.url}/a")).url == f"{here.url}/"
    here.pages["/"] = moved("/a")
    with pytest.raises(AgentFailed, match="more than 3 times"):
        await get(f"{here.url}/a")
    assert here.connections == 4 + 4


async def test_what_looks_at_an_address_looks_at_those_of_redirects_too(here):
    looked = []

    async def before(url):
        looked.append(url.path)

    here.pages["/a"] = moved("/")
    client = egress()
    await client.ask(f"{here.url}/a", kinds=HTML, before=before)
    await client.close()
    assert looked == ["/a", "/"]


async def test_proxies_of_the_environment_are_not_used(here, secret, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setitem(os.environ, name, secret.url)
    assert (await get(f"{here.url}/")).body == b"hello"


async def test_cookies_are_not_carried_from_one_request_to_the_next(here):
    here.pages["/"] = Reply("hello", headers={"set-cookie": "who=ada; Path=/"})
    client = egress()
    for _ in range(2):
        await client.ask(f"{here.url}/", kinds=HTML)
    await client.close()
    assert [visit.headers.get("cookie") for visit in here.visits] == [None, None]


def endless():
    while True:
        yield b"x" * 10_000


async def test_an_answer_is_read_to_its_bound_and_no_further(here):
    here.pages |= {"/": Reply(pieces=endless), "/big": Reply("x" * 100_001)}
    for path in ("/", "/big"):
        with pytest.raises(AgentFailed, match="larger than 100000 bytes"):
            await get(f"{here.url}{path}")
    here.pages["/fits"] = Reply("x" * 100_000)
    assert len((await get(f"{here.url}/fits")).body) == 100_000


@pytest.mark.parametrize("packed", ["gzip", "deflate"])
async def test_what_is_packed_small_and_unpacks_large_is_stopped_at_the_same_bound(here, packed):
    bomb = b"\0" * 50_000_000
    data = gzip.compress(bomb) if packed == "gzip" else zlib.compress(bomb)
    assert len(data) < 100_000
    here.pages["/"] = Reply(data, headers={"content-encoding": packed})
    with pytest.raises(AgentFailed, match="larger than"):
        await get(f"{here.url}/")


async def test_what_is_packed_well_is_unpacked(here):
    here.pages["/"] = Reply(gzip.compress(b"hello" * 1000), headers={"content-encoding": "gzip"})
    assert (await get(f"{here.url}/")).body == b"hello" * 1000


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("br", b"hello"),
        ("gzip, gzip", b"hello"),
        ("gzip", b"hello"),
        ("gzip", gzip.compress(b"hello" * 1000, mtime=0)[:-20]),
    ],
)
async def test_what_is_packed_otherwise_or_broken_is_refused(here, encoding, body):
    here.pages["/"] = Reply(body, headers={"content-encoding": encoding})
    with pytest.raises(AgentFailed, match=r"packed|unpacked|too early"):
        await get(f"{here.url}/")


@pytest.mark.parametrize("kind", ["application/octet-stream", "image/png", None, "text/htmlx"])
async def test_only_kinds_that_are_wanted_are_read(here, kind):
    here.pages["/"] = Reply("hello", kind=kind)
    with pytest.raises(AgentFailed, match=" is "):
        await get(f"{here.url}/")


async def test_an_error_s_body_is_only_read_when_it_is_of_a_wanted_kind(here):
    here.pages |= {"/a": Reply("why", 500), "/b": Reply(b"why", 500, "image/png")}
    assert [(await get(f"{here.url}/{page}")).body for page in "ab"] == [b"why", b""]


async def test_who_says_nothing_is_not_waited_for(here):
    here.pages["/"] = HANG
    with pytest.raises(NetworkFailed, match=r"within 0.2 s"):
        await get(f"{here.url}/", bounds=Bounds(seconds=0.2))


async def test_who_stops_in_the_middle_is_not_waited_for_either(here):
    here.pages["/"] = Reply(pieces=lambda: [b"Once upon"], stays=True)
    with pytest.raises(NetworkFailed, match=r"within 0.3 s"):
        await get(f"{here.url}/", bounds=Bounds(seconds=0.3))
    assert len(here.visits) == 1


async def test_nobody_there_is_told_as_that(here):
    async with site(host=HERE) as gone:
        port = gone.port
    with pytest.raises(NetworkFailed, match="cannot be reached"):
        await get(f"http://{HERE}:{port}/")

    async def unknown(host, port):
        raise OSError("no such name")

    with pytest.raises(NetworkFailed, match="not known"):
        await get("http://nowhere.test/", resolve=unknown)


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """Return the contexts of a server that is `site.test`, and of who trusts it."""
    folder, clock = tmp_path_factory.mktemp("tls"), SystemClock()
    authority = make_authority(folder, clock)
    site_files = issue(authority, folder, ["site.test"], 1, clock).folder
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(site_files / CERT, site_files / KEY)
    return server, ssl.create_default_context(cafile=folder / CA)


async def test_certificates_are_checked_against_the_name_not_the_address(certified):
    server, trusting = certified
    there = Names([HERE])
    async with site({"/": Reply("sealed")}, host=HERE, tls=server) as sealed:
        answer = await get(f"https://site.test:{sealed.port}/", resolve=there, tls=trusting)
        assert answer.body == b"sealed"
        assert sealed.names == ["site.test"]
        with pytest.raises(NetworkFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await get(f"https://other.test:{sealed.port}/", resolve=there, tls=trusting)
        with pytest.raises(NetworkFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await get(f"https://site.test:{sealed.port}/", resolve=there)
        assert len(sealed.visits) == 1
