"""The edge's configuration, as HAProxy reads it."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cartrita.edge import DOOR_HEADER, Edge, haproxy, write_loopback_haproxy
from cartrita.errors import ErrorCode

EDGE = Edge("127.0.0.1", 8002, 8001, 9999)


def documents(config):
    return [json.loads(text) for text in re.findall(r"lf-string '(\{.*?\})'", config)]


def test_each_door_has_its_port_and_its_name():
    config = EDGE.render()

    v3, v2 = config.split("frontend ")[1:]
    assert "bind 127.0.0.1:8002\n" in v3
    assert f"set-header {DOOR_HEADER.lower()} v3" in v3
    assert "bind 127.0.0.1:8001\n" in v2
    assert f"set-header {DOOR_HEADER.lower()} v2" in v2
    assert "server serve 127.0.0.1:9999" in config


def test_an_address_of_ipv6_is_bracketed():
    assert "bind [::]:8002" in replace(EDGE, host="::").render()


def test_a_certificate_switches_tls_on_for_both_doors():
    config = replace(EDGE, certificate=Path("/run/edge.pem")).render()

    assert config.count(" ssl crt /run/edge.pem alpn h2,http/1.1\n") == 2
    assert config.count("Strict-Transport-Security") == 2
    assert config.count("X-Forwarded-Proto https") == 2
    assert " ssl crt" not in EDGE.render()
    assert "Strict-Transport-Security" not in EDGE.render()


def test_the_limits_stand_in_the_configuration():
    config = replace(
        EDGE,
        connections=7,
        max_header=5000,
        max_body=333,
        request_timeout=2.4,
        idle=60,
        connections_each=5,
        streams=77,
    ).render()

    assert "maxconn 7\n" in config
    assert config.count("sc0_conn_cur gt 5 ") == 2
    assert "max-concurrent-streams 77\n" in config
    assert "req.hdrs,length gt 5000 " in config
    assert "req.hdr_val(Content-Length) gt 333 " in config
    assert "timeout http-request 2s" in config
    assert "wait-for-body time 2s" in config
    assert "timeout client 2s" in config
    assert "timeout server 60s" in config
    assert "Content-Length" not in EDGE.render()


def test_a_time_below_a_second_is_one():
    assert "timeout http-request 1s" in replace(EDGE, request_timeout=0.1).render()


@pytest.mark.parametrize("max_header", [1024, 16_384, 1 << 20])
def test_the_buffer_holds_more_than_the_longest_head(max_header):
    config = replace(EDGE, max_header=max_header).render()

    size = int(re.search(r"tune.bufsize (\d+)", config)[1])
    assert size > max_header + 4096
    assert size >= 16_384  # for HTTP/2


def test_all_that_haproxy_refuses_is_a_problem_document():
    found = documents(replace(EDGE, max_body=1, metrics_from=("::1",)).render())

    assert {document["status"] for document in found} == {
        400, 403, 404, 408, 413, 431, 500, 502, 503, 504,
    }  # fmt: skip
    for document in found:
        assert document["code"] in set(ErrorCode)
        kind = document["code"].lower().replace("_", "-")
        assert document["type"] == f"urn:cartrita:problem:{kind}"
        assert document["traceId"] == "%[unique-id]"
        assert document["retryable"] is (document["status"] >= 500)


def test_serves_own_haproxy_is_kept_on_loopback(tmp_path):
    script, config = tmp_path / "haproxy", tmp_path / "serve.cfg"
    logs = ["  log 127.0.0.1:514 local0 info", "  log /m.sock len 8192 format rfc5424 local1 debug"]
    binds = ["  bind *:8404", "  bind 0.0.0.0:9101", "  bind :1", "  bind 127.0.0.1:8000"]
    config.write_text("\n".join(logs + binds) + "\n")

    write_loopback_haproxy(script)
    ran = subprocess.run(
        [script, "-v", config], capture_output=True, text=True, timeout=10, check=True
    )

    assert script.stat().st_mode & 0o777 == 0o700
    assert str(haproxy()) in script.read_text()
    assert ran.stdout.startswith("HAProxy version")
    assert re.findall(r"bind (\S+)", config.read_text()) == [
        "127.0.0.1:8404",
        "127.0.0.1:9101",
        "127.0.0.1:1",
        "127.0.0.1:8000",
    ]
    assert re.findall(r"log (\S+)", config.read_text()) == ["/m.sock"]  # who asked for it reads it
