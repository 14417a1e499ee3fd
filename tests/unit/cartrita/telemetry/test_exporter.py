"""The metrics of a node, served by one of its processes at a time."""

import http.client
import socket

import pytest

from cartrita.clock import ManualClock
from cartrita.telemetry.exporter import MOMENT, Exporter
from cartrita.telemetry.metrics import CONTENT_TYPE


@pytest.fixture
def exporter(tmp_path):
    """Make processes of one node, as far as their metrics go."""
    made = []

    def make(readers=("127.0.0.0/8",), port=0, host="127.0.0.1", clock=None):
        made.append(Exporter(tmp_path, host, port, readers, clock or ManualClock()))
        return made[-1]

    yield make
    for one in made:
        one.close()


def ask(address, path="/metrics"):
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type"), answer.read().decode()
    finally:
        connection.close()


def test_one_process_serves_and_the_next_one_does_when_it_is_gone(exporter):
    first, second = exporter(), exporter()
    address = first.hold()
    assert address == first.hold()
    assert second.hold() is None
    assert ask(address)[:2] == (200, CONTENT_TYPE)

    first.close()

    after = second.hold()
    assert ask(after)[0] == 200
    assert first.hold() is None


def test_only_those_who_may_read_are_answered(exporter):
    address = exporter(readers=("10.0.0.0/8", "::1")).hold()
    assert ask(address)[0] == 403


def test_there_is_nothing_else(exporter):
    address = exporter().hold()
    assert ask(address, "/")[0] == 404
    assert ask(address, "/metrics/edge")[0] == 404
    assert ask(address, "/metrics?name=x")[0] == 200


def test_a_reading_serves_all_who_ask_within_a_moment(exporter, monkeypatch):
    readings, clock = [], ManualClock()

    def read(folder):
        readings.append(folder)
        return b"some 1\n"

    monkeypatch.setattr("cartrita.telemetry.exporter.exposition", read)
    address = exporter(clock=clock).hold()
    assert [ask(address)[2] for _ in range(3)] == ["some 1\n"] * 3
    assert len(readings) == 1
    clock.advance(MOMENT)
    ask(address)
    assert len(readings) == 2


def test_a_reader_that_sends_nothing_or_fails_does_not_end_it(exporter):
    address = exporter().hold()
    host, _, port = address.rpartition(":")
    for said in (b"", b"nonsense\r\n\r\n", b"GET /metrics HTTP/1.1\r\n"):
        with socket.create_connection((host, int(port)), 5) as reader:
            reader.sendall(said)
    assert ask(address)[0] == 200


def test_a_port_that_somebody_has_is_tried_again(exporter):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        one, other = exporter(port=port), exporter(port=port)
        assert one.hold() is None
        assert other.hold() is None, "the lock was not given back"
    assert one.hold() == f"127.0.0.1:{port}"
