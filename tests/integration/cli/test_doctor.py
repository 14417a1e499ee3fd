"""Tests of `cartrita doctor`."""

import json
import socket

import pytest


@pytest.fixture
def free_ports():
    """Give settings with ports on which nobody listens."""
    names = ("server.port", "server.v2_port", "ray.dashboard_port", "postgres.port", "redis.port")
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    numbers = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    pairs = zip(names, numbers, strict=True)
    return [word for name, number in pairs for word in ("--set", f"{name}={number}")]


def test_a_machine_that_can_exits_with_0(cartrita, free_ports):
    done = cartrita(*free_ports, "doctor")
    assert done.exit_code == 0, done.output
    assert "ok   python" in done.stdout
    assert "fail" not in done.stdout


def test_a_taken_port_exits_with_1_and_names_the_setting(cartrita, free_ports):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cartrita(*free_ports, "--set", f"server.port={port}", "doctor")
    assert done.exit_code == 1
    assert f"fail port {port}" in done.stdout
    assert "→" in done.stdout
    assert "CARTRITA_SERVER__PORT" in done.stdout


def test_json_lists_the_findings(cartrita, free_ports):
    findings = json.loads(cartrita(*free_ports, "doctor", "--json").stdout)
    assert {"check", "state", "detail", "remedy"} == set(findings[0])
    assert "home" in [finding["check"] for finding in findings]


def test_wrong_settings_are_a_finding(cartrita):
    done = cartrita("--set", "server.port=x", "doctor")
    assert done.exit_code == 1
    assert "fail settings" in done.stdout
    assert "server.port" in done.stdout
