"""Tests of the border to httpx."""

import httpx
import pytest

from cartrita.client import transport
from cartrita.client.steps import Call
from cartrita.errors import ConfigurationInvalid


@pytest.mark.parametrize("url", ["", "localhost:8002", "ftp://host", "http://", "http://[::1"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ConfigurationInvalid, match="http://127"):
        transport.options(url)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8002", True),
        ("http://localhost", True),
        ("http://[::1]:8002", True),
        ("https://cartrita.example.org", False),
        ("http://127.example.org", False),
    ],
)
def test_no_proxy_stands_before_this_machine(url, here):
    assert transport.loopback(url) is here
    assert transport.options(url)["trust_env"] is not here


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout(""), False),
        (httpx.PoolTimeout(""), False),
        (httpx.ReadError("reset"), True),
        (httpx.ReadTimeout(""), True),
        (httpx.WriteError("reset"), True),
        (httpx.RemoteProtocolError("closed"), True),
    ],
)
def test_only_what_cannot_have_arrived_counts_as_unsent(error, sent):
    lost = transport.lost(error, "http://here")
    assert lost.sent is sent
    assert "http://here" in lost.why
    assert (str(error) or type(error).__name__) in lost.why


def test_a_body_is_json_and_headers_are_kept():
    request = transport.request(Call("POST", "/x", b"{}", headers={"Prefer": "respond-async"}))
    assert request["headers"] == {"Content-Type": "application/json", "Prefer": "respond-async"}
    assert "Content-Type" not in transport.request(Call("GET", "/x"))["headers"]
