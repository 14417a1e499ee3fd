"""Where channels listen."""

from pathlib import Path

import pytest

from cartrita.channel.address import UNIX_PATH_MAX, Address
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
