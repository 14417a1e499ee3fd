"""The edge as it runs: HAProxy between clients and a gateway."""

import re
import socket
import ssl
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

import httpx
import pytest

from cartrita.edge import Edge
from tests.support.api_server import serving
from tests.support.database import free_ports
from tests.support.edge import (
    MAX_BODY,
    TIMEOUT,
    Mirror,
    assert_edge_problem,
    checked,
    edge_to,
    read,
    response_of,
    running_edge,
    seen,
    write_certificate,
)
from tests.support.gateway import PASSWORD, assert_problem, serving_gateway


@pytest.fixture(scope="module")
def mirror():
    return Mirror()


@pytest.fixture(scope="module")
def edge(mirror, tmp_path_factory):
    with serving(mirror) as url:
        made = edge_to(url)
        with running_edge(made, tmp_path_factory.mktemp("edge")):
            yield made


@pytest.fixture(scope="module")
def v3(edge):
    with httpx.Client(base_url=f"http://127.0.0.1:{edge.port}", timeout=20) as client:
        yield client


@pytest.fixture
def wire(edge):
    with closing(socket.create_connection(("127.0.0.1", edge.port), timeout=10)) as connection:
        yield connection


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"host": "0.0.0.0"},
        {"host": "::1"},
        {"max_body": None},
        {"request_timeout": 0.2},
        {"max_header": 1024},
        {"max_header": 1 << 20},
    ],
)
def test_haproxy_takes_the_configuration(options, tmp_path):
    port, v2_port = free_ports(2)

    checked(replace(Edge("127.0.0.1", port, v2_port, 1), **options), tmp_path)


def test_haproxy_takes_the_configuration_with_a_certificate(tmp_path):
    certificate = write_certificate(tmp_path / "edge.pem")
    port, v2_port = free_ports(2)

    checked(Edge("127.0.0.1", port, v2_port, 1, certificate=certificate), tmp_path)


def test_each_port_names_its_door(edge):
    for port, door in ((edge.port, "v3"), (edge.v2_port, "v2")):
        answer = httpx.get(f"http://127.0.0.1:{port}/")
        assert seen(answer)["x-cartrita-door"] == [door]


def test_clients_forge_neither_door_nor_address(v3):
    forged = [
        ("X-Cartrita-Door", "v2"),
        ("x-cartrita-door", "v2"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("x-forwarded-for", "6.6.6.6, 7.7.7.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "for=6.6.6.6"),
        ("X-Real-IP", "6.6.6.6"),
    ]

    told = seen(v3.get("/", headers=forged))

    assert told["x-cartrita-door"] == ["v3"]
    assert told["x-forwarded-for"] == ["127.0.0.1"]
    assert told["x-forwarded-proto"] == ["http"]
    assert told.keys().isdisjoint({"x-forwarded-host", "forwarded", "x-real-ip"})


def test_clients_do_not_steer_serve(v3, mirror):
    steering = {
        "X-Request-Timeout-Seconds": "0.001",
        "X-Request-Disconnect-Disabled": "?0",
        "serve_multiplexed_model_id": "x",
        "Serve-Multiplexed-Model-Id": "x",
    }

    told = seen(v3.get("/", headers=steering))

    assert not [name for name in told if "serve" in name or name.startswith("x-request-t")]
    assert told["x-request-disconnect-disabled"] == ["?1"]  # of ours
    for path in ("/-/routes", "/-/healthz", "/%2d/routes", "/%2D%2Froutes"):
        body = assert_edge_problem(v3.get(path), 404, "AUTHORIZATION_FAILED")
        assert body["reason"] == "NOT_FOUND"
    assert not [path for path in mirror.requests if path.startswith("/-")]


def test_an_answer_has_one_request_id_and_no_server(v3):
    minted = v3.get("/")
    kept = v3.get("/", headers={"X-Request-ID": "order-66.a_b"})
    replaced = v3.get("/", headers={"X-Request-ID": "no good"})

    assert re.fullmatch("[0-9a-f]{32}", minted.headers["x-request-id"])
    assert seen(minted)["x-request-id"] == [minted.headers["x-request-id"]]
    assert kept.headers.get_list("x-request-id") == ["order-66.a_b"]
    assert re.fullmatch("[0-9a-f]{32}", replaced.headers["x-request-id"])
    assert "server" not in minted.headers


def test_a_slow_head_is_cut_off(wire):
    """HAProxy writes this one page itself; see `cartrita.edge`."""
    began = time.monotonic()
    wire.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")

    answer = read(wire)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert TIMEOUT * 0.9 <= time.monotonic() - began < TIMEOUT + 3


def test_dripping_a_head_does_not_buy_time(wire):
    wire.settimeout(0.2)
    began, received = time.monotonic(), b""
    wire.sendall(b"GET / HTTP/1.1\r\n")
    while not received and time.monotonic() - began < 10:
        wire.sendall(b"a: b\r\n")
        try:
            received = wire.recv(100)
        except TimeoutError:
            continue

    assert received.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < TIMEOUT + 3


def test_a_slow_body_is_cut_off_before_it_reaches_anybody(wire, mirror):
    before = len(mirror.requests)
    wire.sendall(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123")

    answer = response_of(read(wire))

    assert_edge_problem(answer, 408, "INVALID_MESSAGE_FORMAT")
    assert len(mirror.requests) == before


def test_a_long_body_is_refused_before_it_is_sent(wire):
    wire.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10001\r\n\r\n")

    answer = response_of(read(wire))

    assert_edge_problem(answer, 413, "RESOURCE_LIMIT_EXCEEDED")


def test_a_body_of_the_limit_passes(v3):
    assert v3.post("/", content=b" " * MAX_BODY).json()["body"] == MAX_BODY


@pytest.mark.parametrize(("size", "status"), [(5000, 431), (7000, 431), (50_000, 400)])
def test_a_head_over_the_limit_is_refused(v3, size, status):
    answer = v3.get("/", headers={"X-Long": "a" * size})

    assert answer.status_code == status
    if status == 431:
        assert_edge_problem(answer, 431, "RESOURCE_LIMIT_EXCEEDED")


def test_a_head_near_the_limit_passes(v3):
    assert v3.get("/", headers={"X-Long": "a" * 3500}).status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1e2\r\n",
        b"Content-Length : 3\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"no colon\r\n",
    ],
)
def test_an_ambiguous_request_reaches_nobody(wire, mirror, head):
    before = len(mirror.requests)
    wire.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\nabcd")

    assert read(wire).startswith(b"HTTP/1.1 400 ")
    assert len(mirror.requests) == before


def test_a_smuggled_request_stays_a_body(wire, mirror):
    before = len(mirror.requests)
    wire.sendall(
        b"POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 41\r\nTransfer-Encoding: chunked\r\n"
        b"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    )

    answers = read(wire)

    assert answers.count(b"HTTP/1.1 ") == 1
    assert mirror.requests[before:] == ["/first"]


def test_a_client_that_leaves_is_noticed_behind_the_edge(wire, mirror):
    wire.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
    assert mirror.hanging.wait(5)

    wire.close()

    assert mirror.left.wait(5)


def test_says_so_when_nobody_is_behind_it(tmp_path):
    (nobody,) = free_ports(1)
    edge = edge_to(f"http://127.0.0.1:{nobody}")
    with running_edge(edge, tmp_path):
        answer = httpx.get(f"http://127.0.0.1:{edge.port}/health", timeout=20)

        body = assert_edge_problem(answer, 503, "SERVICE_UNAVAILABLE")
        assert body["retryable"] is True
        assert answer.headers["retry-after"] == "1"


def answering(status, *headers):
    """Return an application that always answers the same, in plain text."""

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        told = [(b"content-type", b"text/plain"), *headers]
        await send({"type": "http.response.start", "status": status, "headers": told})
        await send({"type": "http.response.body", "body": b"whoever I am"})

    return app


@contextmanager
def answer_through_an_edge(app, tmp_path, method="GET"):
    with serving(app) as url:
        edge = edge_to(url)
        with running_edge(edge, tmp_path):
            yield httpx.request(method, f"http://127.0.0.1:{edge.port}/v3/tasks", timeout=20)


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_a_serve_that_knows_no_gateway_yet_is_unavailable(tmp_path, status, method):
    with answer_through_an_edge(answering(status), tmp_path, method) as answer:
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        if method != "HEAD":
            assert_edge_problem(answer, 503, "SERVICE_UNAVAILABLE")


@pytest.mark.parametrize("status", [404, 500])
def test_what_the_gateway_says_itself_is_passed_on(tmp_path, status):
    ours = (b"x-content-type-options", b"nosniff")
    with answer_through_an_edge(answering(status, ours), tmp_path) as answer:
        assert (answer.status_code, answer.text) == (status, "whoever I am")


def test_a_gateway_that_breaks_off_is_to_be_asked_again(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        edge = edge_to(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def break_off():
            for _ in range(2):  # HAProxy may try again
                with suppress(TimeoutError):
                    listener.settimeout(5)
                    connection, _ = listener.accept()
                    connection.recv(65_536)
                    connection.close()

        breaking = threading.Thread(target=break_off, daemon=True)
        breaking.start()
        with running_edge(edge, tmp_path):
            answer = httpx.get(f"http://127.0.0.1:{edge.port}/health", timeout=20)
        breaking.join(15)

    body = assert_edge_problem(answer, 502, "SERVICE_UNAVAILABLE")
    assert body["retryable"] is True
    assert answer.headers["retry-after"] == "1"


def test_a_task_runs_through_the_edge(tmp_path):
    with serving_gateway() as url:
        edge = edge_to(url)
        with running_edge(edge, tmp_path):
            base = f"http://127.0.0.1:{edge.port}"
            account = {"email": "alice@example.org", "password": PASSWORD}
            token = httpx.post(f"{base}/auth/register", json=account).json()["token"]
            body = {"taskType": "system.echo", "parameters": {"payload": 1}}

            answer = httpx.post(
                f"{base}/v3/tasks", json=body, headers={"Authorization": f"Bearer {token}"}
            )
            refused = httpx.post(f"{base}/v3/tasks", json=body)

            assert answer.json()["status"] == "COMPLETED"
            assert_problem(refused, 401, "AUTHENTICATION_FAILED")


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secure")
    certificate = write_certificate(folder / "edge.pem")
    with serving(Mirror()) as url:
        made = edge_to(url, certificate=certificate)
        with running_edge(made, folder):
            yield made


def test_serves_tls_1_3(secure):
    context = ssl.create_default_context(cafile=secure.certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_3

    for port in (secure.port, secure.v2_port):
        answer = httpx.get(f"https://127.0.0.1:{port}/", verify=context)
        assert seen(answer)["x-forwarded-proto"] == ["https"]
        assert "max-age" in answer.headers["strict-transport-security"]


def test_speaks_http_2_to_those_who_can(secure):
    context = ssl.create_default_context(cafile=secure.certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", secure.port), timeout=5)

    with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        assert connection.selected_alpn_protocol() == "h2"
        assert connection.version() == "TLSv1.3"


def test_refuses_tls_1_2(secure):
    context = ssl.create_default_context(cafile=secure.certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    plain = socket.create_connection(("127.0.0.1", secure.port), timeout=5)

    with closing(plain), pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_answers_nobody_in_the_clear_on_a_secure_port(secure):
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{secure.port}/")
