"""How the edge treats those who take long or want too much."""

import asyncio
import json
import re
import select
import socket
import ssl
import statistics
import subprocess
import time
from contextlib import ExitStack, closing

import httpx
import pytest

from tests.support.api_server import serving
from tests.support.database import free_ports
from tests.support.edge import (
    TIMEOUT,
    Mirror,
    assert_edge_problem,
    checked,
    edge_to,
    running_edge,
    write_certificate,
)


class Patient(Mirror):
    """Sends the first half of an answer, and the other when it is told to."""

    async def __call__(self, scope, receive, send):
        if scope.get("path") != "/silent":
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await asyncio.sleep(2.5 * TIMEOUT)
        await send({"type": "http.response.body", "body": b"z"})


@pytest.fixture(scope="module")
def behind():
    with serving(Patient()) as url:
        yield url


@pytest.fixture(scope="module")
def edge(behind, tmp_path_factory):
    made = edge_to(behind, request_timeout=TIMEOUT, metrics_from=("192.0.2.0/24",))
    with running_edge(made, tmp_path_factory.mktemp("edge")):
        yield made


@pytest.fixture(scope="module")
def secure(behind, tmp_path_factory):
    folder = tmp_path_factory.mktemp("secure")
    certificate = write_certificate(folder / "edge.pem")
    made = edge_to(behind, request_timeout=TIMEOUT, certificate=certificate, connections_each=3)
    with running_edge(made, folder):
        yield made


def closed_within(connection, seconds):
    """Read until the other end has closed; what it says before does not matter."""
    limit = time.monotonic() + seconds
    connection.settimeout(0.2)
    while time.monotonic() < limit:
        try:
            if not connection.recv(65_536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_who_connects_and_says_nothing_is_hung_up_on(edge, secure):
    for port in (edge.port, edge.v2_port, secure.port):
        with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as wire:
            assert closed_within(wire, TIMEOUT + 3)


def test_who_shakes_hands_and_says_nothing_is_hung_up_on(secure):
    for protocols in (["h2"], ["http/1.1"]):
        context = ssl.create_default_context(cafile=secure.certificate)
        context.set_alpn_protocols(protocols)
        plain = socket.create_connection(("127.0.0.1", secure.port), timeout=5)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as wire:
            assert closed_within(wire, TIMEOUT + 3)


@pytest.mark.parametrize("protocol", ["--http1.1", "--http2"])
def test_an_answer_may_take_longer_than_a_request(secure, protocol):
    url = f"https://127.0.0.1:{secure.port}/silent"

    done = subprocess.run(
        ["curl", "-sS", protocol, "--cacert", secure.certificate, url],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip

    assert (done.stdout, done.stderr) == ("az", "")


def test_one_address_has_so_many_connections_and_no_more(secure):
    context = ssl.create_default_context(cafile=secure.certificate)
    with ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(verify=context)) for _ in range(4)]
        for client in clients[:3]:
            assert client.get(f"https://127.0.0.1:{secure.port}/").is_success
        with pytest.raises(httpx.TransportError):
            clients[3].get(f"https://127.0.0.1:{secure.port}/")

        clients[0].close()

        assert _in_time(lambda: clients[3].get(f"https://127.0.0.1:{secure.port}/").is_success)


def _in_time(attempt):
    limit = time.monotonic() + 5
    while time.monotonic() < limit:
        try:
            return attempt()
        except httpx.TransportError:
            time.sleep(0.02)
    return False


@pytest.mark.parametrize("path", ["/metrics", "/metrics/edge", "/%6detrics", "/metrics/edge?a=b"])
def test_metrics_are_for_those_whom_the_settings_name(edge, path):
    answer = httpx.get(f"http://127.0.0.1:{edge.port}{path}")

    assert_edge_problem(answer, 403, "AUTHORIZATION_FAILED")


def test_the_edge_counts_its_own_connections(secure):
    context = ssl.create_default_context(cafile=secure.certificate)

    answer = httpx.get(f"https://127.0.0.1:{secure.port}/metrics/edge", verify=context)
    passed_on = httpx.get(f"https://127.0.0.1:{secure.port}/metrics", verify=context)

    assert re.search(r'haproxy_frontend_connections_total{proxy="v3"} [1-9]', answer.text)
    assert json.loads(passed_on.text)["path"] == "/metrics"


def test_slow_senders_are_gone_soon_and_harm_nobody(behind, tmp_path):
    """The short form of `benchmarks.slow_sockets`."""
    made = edge_to(behind, request_timeout=TIMEOUT)
    heads = [
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1",
        b"",
    ]
    with running_edge(made, tmp_path), ExitStack() as stack:
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{made.port}"))
        alone = _median(client)
        slow = []
        for number in range(300):
            wire = socket.create_connection(("127.0.0.1", made.port), timeout=5)
            stack.callback(wire.close)
            wire.sendall(heads[number % 3])
            slow.append(wire)

        assert _median(client) < 5 * alone + 0.01

        limit = time.monotonic() + TIMEOUT + 5
        while slow and time.monotonic() < limit:
            heard, _, _ = select.select(slow[:1000], [], [], 0.2)
            slow = [wire for wire in slow if wire not in heard or _speaks(wire)]
        assert not slow
        assert client.get("/").is_success


def _median(client):
    times = []
    for _ in range(50):
        began = time.perf_counter()
        assert client.get("/").is_success
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _speaks(wire):
    try:
        return bool(wire.recv(65_536))
    except OSError:
        return False


def test_an_edge_over_ipv6_and_with_grpc_has_a_configuration_that_haproxy_takes(tmp_path):
    rpc, behind_it = free_ports(2)
    made = edge_to("http://127.0.0.1:1", rpc=(rpc, behind_it), metrics_from=("::1", "10.0.0.0/8"))

    checked(made, tmp_path)
