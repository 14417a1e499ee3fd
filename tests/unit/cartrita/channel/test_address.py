"""Where channels listen."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.channel.address import UNIX_PATH_MAX, Address, Endpoints
from cartrita.errors import ConfigurationInvalid


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/a.sock", Address(path="/run/a.sock")),
        ("unix:relative", Address(path="relative")),
        ("tcp:10.0.0.1:80", Address(host="10.0.0.1", port=80)),
        ("tcp:node-1:0", Address(host="node-1", port=0)),
        ("tcp:[::1]:9", Address(host="::1", port=9)),
    ],
)
def test_both_forms_are_read(text, address):
    assert Address.parse(text) == address


@pytest.mark.parametrize("address", [Address(path="/run/a.sock"), Address(host="h", port=7)])
def test_what_is_written_reads_back(address):
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "unix:", "tcp:", "tcp:host", "tcp::80", "tcp:host:", "tcp:host:-1", "http://h:1"]
)
def test_anything_else_is_refused_by_name(text):
    with pytest.raises(ConfigurationInvalid, match=repr(text).replace("/", ".")):
        Address.parse(text)


def test_the_longest_path_the_kernel_keeps_is_taken():
    path = Path("/" + "a" * (UNIX_PATH_MAX - 1))
    assert Address.unix(path).path == str(path)


@pytest.mark.parametrize("name", ["a" * UNIX_PATH_MAX, "ä" * 54])
def test_a_longer_path_is_refused_by_its_limit(name):
    with pytest.raises(ConfigurationInvalid, match=f"over {UNIX_PATH_MAX} bytes"):
        Address.unix(Path("/" + name))


def test_an_ipv6_address_is_written_in_brackets():
    assert str(Address(host="fd00::7", port=9)) == "tcp:[fd00::7]:9"
    assert Address.parse("tcp:[fd00::7]:9") == Address(host="fd00::7", port=9)


@pytest.mark.parametrize("text", ["tcp:h:65536", "tcp:h:" + "1" * 5000, "tcp:h:١٢", "tcp:[]:1"])
def test_what_is_no_port_or_no_host_is_refused(text):
    with pytest.raises(ConfigurationInvalid, match="neither"):
        Address.parse(text)


SOCKET, OUTSIDE = Address(path="/run/a.sock"), Address(host="10.0.0.1", port=80)
BOTH = Endpoints(SOCKET, "node-a", OUTSIDE)


def test_both_places_are_published_as_one_text():
    assert str(BOTH) == "unix:/run/a.sock@node-a|tcp:10.0.0.1:80"


def test_a_caller_on_the_same_node_takes_the_socket_and_others_tcp():
    published = Endpoints.parse("unix:/run/a.sock@node-a|tcp:10.0.0.1:80")
    assert published.pick("node-a") == SOCKET
    assert published.pick("node-b") == OUTSIDE
    assert published.pick("") == OUTSIDE


def test_a_server_on_one_node_alone_tells_others_which_setting_is_missing():
    published = Endpoints.parse("unix:/run/a.sock@node-a|tcp:-")
    assert published == Endpoints(SOCKET, "node-a")
    assert published.pick("node-a") == SOCKET
    with pytest.raises(ConfigurationInvalid, match=r"node 'node-a'.*channel\.tcp"):
        published.pick("node-b")


@pytest.mark.parametrize("address", [SOCKET, OUTSIDE, Address(path="/run/a@b|c")])
def test_a_single_place_is_written_plainly_and_taken_by_everybody(address):
    published = Endpoints.parse(str(address))
    assert str(published) == str(address)
    assert {published.pick(node) for node in ("", "node-a", "node-b")} == {address}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unix:/a|tcp:h:1",
        "unix:/a@|tcp:h:1",
        "unix:@n|tcp:h:1",
        "tcp:h:1@n|tcp:h:1",
        "unix:/a@n|tcp:h",
        "|tcp:h:1",
        "unix:/a@n|tcp:",
        "unix:/a|tcp:-",
    ],
)
def test_a_text_that_publishes_nothing_is_refused(text):
    with pytest.raises(ConfigurationInvalid):
        Endpoints.parse(text)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"local": SOCKET, "remote": OUTSIDE},
        {"remote": OUTSIDE, "node": "n"},
        {"local": OUTSIDE},
        {"remote": SOCKET},
        {"local": SOCKET, "node": "a@b", "remote": OUTSIDE},
        {"local": SOCKET, "node": "a|b", "remote": OUTSIDE},
        {"local": Address(path="/a|tcp:x"), "node": "n", "remote": OUTSIDE},
    ],
)
def test_places_that_could_not_be_read_back_are_refused(parts):
    with pytest.raises(ConfigurationInvalid):
        Endpoints(**parts)


NAMES = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1)


@given(
    NAMES.filter(lambda path: "|tcp:" not in path and len(path) < UNIX_PATH_MAX),
    NAMES.filter(lambda node: not {"@", "|"} & set(node)),
    st.sampled_from(["10.0.0.1", "node-1.cluster", "::1", "fd00::7"]),
    st.integers(0, 65535),
)
def test_whatever_is_published_reads_back(path, node, host, port):
    local, remote = Address.unix(Path("/") / path.lstrip("/")), Address(host=host, port=port)
    for published in (
        Endpoints(local),
        Endpoints(remote=remote),
        Endpoints(local, node),
        Endpoints(local, node, remote),
    ):
        assert Endpoints.parse(str(published)) == published
