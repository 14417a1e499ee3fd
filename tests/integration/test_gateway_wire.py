"""The gateway on a real socket: bodies that are long, slow, cut off, or never sent."""

import json
import socket
import time
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.gateway import MAX_BODY, PASSWORD, assert_problem, serving_gateway

BODY_TIMEOUT = 0.5


@pytest.fixture(scope="module")
def url():
    with serving_gateway(body_timeout=BODY_TIMEOUT) as address:
        yield address


@pytest.fixture(scope="module")
def token(url):
    account = {"email": "alice@example.org", "password": PASSWORD}
    return httpx.post(f"{url}/auth/register", json=account).json()["token"]


class Wire:
    """One connection, spoken to byte by byte."""

    def __init__(self, url, token):
        where = urlsplit(url)
        self.token = token
        self.socket = socket.create_connection((where.hostname, where.port), timeout=10)

    def head(self, *lines):
        told = [
            "POST /v3/tasks HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {self.token}",
            "Content-Type: application/json",
            *lines,
        ]
        self.socket.sendall("\r\n".join([*told, "", ""]).encode())

    def answer(self):
        """Read to the end of the connection, and return the answer and what came before it."""
        received = b""
        while part := self.socket.recv(65_536):
            received += part
        before, _, rest = received.rpartition(b"HTTP/1.1 ")
        head, _, body = rest.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = [tuple(line.split(": ", 1)) for line in lines]
        return httpx.Response(int(first[:3]), headers=headers, content=body), before


@pytest.fixture
def wire(url, token):
    connection = Wire(url, token)
    with closing(connection.socket):
        yield connection


def test_refuses_a_long_body_before_it_is_sent(wire):
    wire.head(f"Content-Length: {MAX_BODY + 1}")

    answer, _ = wire.answer()

    assert_problem(answer, 413, "RESOURCE_LIMIT_EXCEEDED")
    assert answer.headers["connection"] == "close"


def test_a_client_that_asks_first_is_not_told_to_go_on(wire):
    wire.head(f"Content-Length: {MAX_BODY + 1}", "Expect: 100-continue")

    answer, before = wire.answer()

    assert_problem(answer, 413, "RESOURCE_LIMIT_EXCEEDED")
    assert before == b""


def test_a_stranger_is_refused_before_the_body_is_asked_for(wire):
    wire.token = "nonsense"
    wire.head("Content-Length: 1000", "Expect: 100-continue", "Connection: close")

    answer, before = wire.answer()

    assert_problem(answer, 401, "AUTHENTICATION_FAILED")
    assert before == b""


def test_refuses_a_chunked_body_at_the_limit(wire):
    wire.head("Transfer-Encoding: chunked")
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"

    for _ in range(MAX_BODY // 65_536):
        wire.socket.sendall(chunk)
    wire.socket.sendall(b"1\r\n \r\n")

    answer, _ = wire.answer()
    assert_problem(answer, 413, "RESOURCE_LIMIT_EXCEEDED")


def test_a_slow_body_is_not_waited_for(wire):
    began = time.monotonic()
    wire.head("Content-Length: 100")
    wire.socket.sendall(b"{")

    answer, _ = wire.answer()

    assert_problem(answer, 408, "INVALID_MESSAGE_FORMAT")
    assert answer.headers["connection"] == "close"
    assert BODY_TIMEOUT <= time.monotonic() - began < BODY_TIMEOUT + 3


def test_dripping_does_not_buy_time(wire):
    wire.head("Transfer-Encoding: chunked")
    wire.socket.settimeout(0.1)
    began, received = time.monotonic(), b""
    while not received and time.monotonic() - began < 10:
        wire.socket.sendall(b"1\r\n \r\n")
        try:
            received = wire.socket.recv(100)
        except TimeoutError:
            continue

    assert received.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < BODY_TIMEOUT + 3


def test_a_client_that_leaves_in_the_middle_harms_nobody(url, wire, token):
    wire.head("Content-Length: 100")
    wire.socket.sendall(b'{"taskType"')
    wire.socket.close()

    body = {"taskType": "system.echo", "parameters": {"payload": 1}}
    answer = httpx.post(f"{url}/v3/tasks", json=body, headers={"Authorization": f"Bearer {token}"})

    assert answer.json()["status"] == "COMPLETED"


def test_a_body_may_come_in_pieces(wire):
    body = json.dumps({"taskType": "system.echo", "parameters": {"payload": "é"}}).encode()
    wire.head("Transfer-Encoding: chunked", "Connection: close")
    for byte in body:
        wire.socket.sendall(b"1\r\n%c\r\n" % byte)
    wire.socket.sendall(b"0\r\n\r\n")

    answer, _ = wire.answer()

    assert answer.status_code == 200
    assert b'"COMPLETED"' in answer.content


def test_a_client_that_sends_a_long_body_at_once_learns_why_it_was_refused(url, token):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    for _ in range(20):
        answer = httpx.post(f"{url}/v3/tasks", content=b" " * (8 * MAX_BODY), headers=headers)
        assert_problem(answer, 413, "RESOURCE_LIMIT_EXCEEDED")


def test_a_million_names_are_no_more_than_many():
    names = b",".join(b'"%d":0' % number for number in range(1_000_000))
    body = b'{"taskType":"system.echo","parameters":{"payload":{%s}}}' % names
    with serving_gateway(max_body=16 * MAX_BODY) as url:
        account = {"email": "alice@example.org", "password": PASSWORD}
        token = httpx.post(f"{url}/auth/register", json=account).json()["token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

        answer = httpx.post(f"{url}/v3/tasks", content=body, headers=headers, timeout=60)

        document = assert_problem(answer, 413, "RESOURCE_LIMIT_EXCEEDED")
        assert "parameters" in document["detail"]
        assert httpx.get(f"{url}/readyz").status_code == 200
