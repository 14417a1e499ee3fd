"""Where nobody is let: every private address, in every spelling."""

import socket
import ssl
from ipaddress import IPv6Address, ip_address, ip_network

import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.egress.networks import NEVER, NOT_PUBLIC, within
from cartrita.egress.policy import Policy, named_by_operators, port_ranges, public, read
from cartrita.egress.transport import GuardedTransport
from cartrita.errors import AddressRefused, InvalidParameters
from tests.support.spellings import spellings

METADATA = "169.254.169.254"
BEYOND = "this would have left"
TLS = ssl.create_default_context()  # made once: it reads all certificates


class Watch(httpcore.AsyncNetworkBackend):
    """The network, which notes who wanted out and lets nobody."""

    def __init__(self):
        self.left = []

    async def connect_tcp(self, host, port, *more):
        self.left.append((host, port))
        raise httpcore.ConnectError(BEYOND)


async def lenient(host, port):
    """Resolve as the C library does, which takes 0177.1 for an address; without a network."""
    try:
        return [ip_address(socket.inet_aton(host.rstrip(".")))]
    except OSError:
        found = socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
        return [ip_address(found[0][4][0])]


async def attempt(url, policy=None, resolve=lenient):
    """Return what would have left, having tried to call a URL."""
    watch = Watch()
    transport = GuardedTransport(
        policy or Policy(ports=()), resolve=resolve, network=watch, tls=TLS
    )
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        try:
            await client.send(client.build_request("GET", read(url)))
        except AddressRefused:
            return watch.left
        except httpx.ConnectError:
            return watch.left
    raise AssertionError("something answered")


def leading(*addresses):
    async def resolve(host, port):
        return [ip_address(address) for address in addresses]

    return resolve


@pytest.mark.parametrize("way", sorted(spellings("127.0.0.1")))
@pytest.mark.parametrize("address", ["127.0.0.1", METADATA, "10.0.0.7", "0.0.0.0"])
async def test_no_spelling_of_a_private_address_gets_out(address, way):
    host = spellings(address)[way]
    for url in (f"http://{host}/", f"http://{host}:6379/", f"https://{host}/latest/meta-data"):
        assert await attempt(url) == []


private = st.sampled_from([net for net in NOT_PUBLIC if net.version == 4]).flatmap(
    lambda net: st.integers(int(net[0]), int(net[-1]))
)


@given(private, st.sampled_from(sorted(spellings("127.0.0.1"))), st.sampled_from(["http", "https"]))
async def test_nor_does_any_of_any_network_that_is_not_public(number, way, scheme):
    assert await attempt(f"{scheme}://{spellings(str(ip_address(number)))[way]}/") == []


@given(st.integers(0, (1 << 128) - 1).map(IPv6Address))
def test_of_ipv6_only_what_is_assigned_to_the_public_is_public(address):
    assert address in ip_network("2000::/3") or within(address, NOT_PUBLIC)


@given(st.text(max_size=60))
async def test_no_text_at_all_gets_anywhere_but_to_what_its_name_leads_to(text):
    """Whatever is read as a URL either is refused, or calls the public address it resolves to."""
    left = await attempt(f"http://{text}", resolve=leading("10.1.2.3"))
    assert all(not within(ip_address(host), NOT_PUBLIC) for host, _ in left)


@pytest.mark.parametrize(
    "url",
    [
        *("http://localhost/", "http://LOCALHOST./", "http://[::1]/", "http://[::]/"),
        *("http://[fd00::1]/", "http://[fe80::1]/", "http://[fc00::1]/", "http://[ff02::1]/"),
        *("http://100.64.0.1/", "http://224.0.0.1/", "http://255.255.255.255/"),
        *("http://198.18.0.1/", "http://192.0.2.1/", "http://168.63.129.16/"),
        *("http://[fe80::1%25eth0]/", "http://[::1/", "http://::1/", "http://[2001:db8::1]/"),
        *("file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO", "data:text/plain,hi"),
        *("ftp://example.com/", "HTTP+UNIX://%2Frun%2Fx.sock/", "unix:/run/x.sock"),
        *("javascript:alert(1)", "//127.0.0.1/", "127.0.0.1", "http:127.0.0.1", "http:///x"),
        *("http://a..b/", "http://-a.com/", "http://a_.com%00/", "", "http://", "http://:80/"),
        *(f"http://{'a' * 64}.com/", f"http://{'a.' * 127}com/", f"http://a.com/{'a' * 5000}"),
    ],
)
async def test_what_is_no_public_web_address_is_refused_before_anything_leaves(url):
    assert await attempt(url, resolve=leading("127.0.0.1")) == []


@pytest.mark.parametrize("port", [6379, 5432, 22, 25, 8080, 1, 65535])
async def test_only_the_ports_of_the_web_are_called(port):
    url = f"http://example.com:{port}/"
    assert await attempt(url, public(), leading("93.184.216.34")) == []
    assert await attempt(url, public(ports=[str(port)]), leading("93.184.216.34")) == [
        ("93.184.216.34", port)
    ]


async def test_a_public_name_is_called_at_the_address_that_was_looked_at():
    assert await attempt("http://example.com/", public(), leading("93.184.216.34")) == [
        ("93.184.216.34", 80)
    ]
    left = await attempt("https://example.com/", public(), leading("2606:2800:220:1::1"))
    assert left == [("2606:2800:220:1::1", 443)]
    assert await attempt("http://xn--mnchen-3ya.de/", public(), leading("1.1.1.1")) != []
    assert await attempt("http://münchen.de/", public(), leading("1.1.1.1")) != []


async def test_a_name_that_leads_inside_is_refused_and_it_is_not_told_where():
    policy = public()
    for inside in ("10.0.0.3", "::ffff:10.0.0.3", "fd12::1", METADATA):
        with pytest.raises(AddressRefused) as caught:
            policy.check_addresses("wiki.example.com", [ip_address(inside)])
        assert inside not in caught.value.message
        assert await attempt("http://wiki.example.com/", policy, leading(inside)) == []


async def test_one_bad_address_among_good_ones_spoils_the_name():
    mixed = leading("93.184.216.34", "127.0.0.1")
    assert await attempt("http://example.com/", public(), mixed) == []


async def test_operators_can_open_a_network_and_nothing_else_with_it():
    policy = public(["10.1.0.0/16"], ["80"])
    assert await attempt("http://10.1.2.3/", policy) == [("10.1.2.3", 80)]
    assert await attempt("http://intranet/", policy, leading("10.1.2.3")) == [("10.1.2.3", 80)]
    for url in ("http://10.2.0.1/", "http://[::ffff:10.1.2.3]/", "http://167838211/"):
        assert await attempt(url, policy) == []


async def test_operators_can_close_all_but_some_hosts():
    policy = public(hosts=["Example.com"])
    there = leading("93.184.216.34")
    assert await attempt("http://docs.example.com/", policy, there) != []
    for url in ("http://evil.com/", "http://badexample.com/", "http://example.com.evil.com/"):
        assert await attempt(url, policy, there) == []


@pytest.mark.parametrize("way", sorted(spellings(METADATA)))
async def test_where_operators_send_us_may_be_inside_but_never_a_cloud_s_metadata(way):
    policy = named_by_operators()
    assert await attempt("http://10.0.0.8:8888/", policy) == [("10.0.0.8", 8888)]
    assert await attempt("http://[::1]:8888/", policy) == [("::1", 8888)]
    left = await attempt(f"http://{spellings(METADATA)[way]}/", policy)
    # IPv4-compatible addresses and other Teredo servers are not routed to what they name.
    assert all(not within(ip_address(host), NEVER) for host, _ in left)
    assert METADATA not in {host for host, _ in left}
    assert await attempt("http://[fd00:ec2::254]/", policy) == []


def test_a_refusal_is_an_error_of_the_caller_s():
    assert issubclass(AddressRefused, InvalidParameters)
    assert AddressRefused("x").reason == "ADDRESS_REFUSED"


@pytest.mark.parametrize("text", ["0", "80-79", "65536", "a", "-1", ""])
def test_what_is_no_port_is_refused(text):
    with pytest.raises(ValueError, match=r"port|int"):
        port_ranges([text])


def test_ports_are_numbers_and_ranges():
    assert port_ranges(["80", "8000-8002"]) == (range(80, 81), range(8000, 8003))
