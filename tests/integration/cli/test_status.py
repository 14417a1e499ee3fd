"""Tests of `cartrita status`."""

import json
import socket

import pytest

from cartrita.providers.ports import ProbeReport
from tests.support.api_server import api_server
from tests.support.fakes import FixedProbes


def probes(*, ok, required):
    return FixedProbes(ProbeReport("postgres", ok, required, 1.0, "as it is"))


def test_a_healthy_instance_exits_with_0(cartrita, running, api):
    running(api)
    done = cartrita("status")
    assert done.exit_code == 0
    for part in ("healthy", api, "pid 1", "system/0", "postgres"):
        assert part in done.stdout


def test_json_holds_the_instance_and_its_health(cartrita, running, api):
    running(api)
    report = json.loads(cartrita("status", "--json").stdout)
    assert (report["status"], report["url"]) == ("healthy", api)
    assert report["instance"]["ready"] is True
    assert report["health"]["services"] == {"postgres": {"ok": True}}


def test_without_an_instance_it_exits_with_1(cartrita):
    done = cartrita("status")
    assert done.exit_code == 1
    assert "cartrita up" in done.stdout


def test_an_instance_that_does_not_answer_exits_with_1(cartrita, running):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    running(f"http://127.0.0.1:{free}")
    report = json.loads(cartrita("status", "--json").stdout)
    assert report["status"] == "unreachable"
    assert cartrita("status").exit_code == 1


@pytest.mark.parametrize(
    ("required", "status", "code"), [(False, "degraded", 0), (True, "unhealthy", 1)]
)
def test_what_is_down_decides(cartrita, required, status, code):
    with api_server(probes(ok=False, required=required)) as url:
        done = cartrita("--url", url, "status")
    assert done.exit_code == code
    assert done.stdout.startswith(status)
    assert "down" in done.stdout


def test_another_address_needs_no_instance_here(cartrita, api):
    assert cartrita("--url", api, "status").exit_code == 0
