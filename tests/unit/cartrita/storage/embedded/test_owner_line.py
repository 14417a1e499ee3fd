"""Tests of the keeper's end of the socket pair."""

import json
import selectors
import socket

import pytest

from cartrita.storage.embedded.owner_line import OwnerLine


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield OwnerLine(theirs), ours


def test_reads_commands_however_they_are_cut(pair):
    line, owner = pair
    owner.sendall(b'{"do": "li')
    assert line.commands() == []
    owner.sendall(b'st"}\n{"do": "shutdown"}\n')
    assert line.commands() == [{"do": "list"}, {"do": "shutdown"}]


def test_a_closed_end_means_that_the_owner_is_gone(pair):
    line, owner = pair
    owner.close()
    assert line.commands() is None
    line.tell({"event": "exited"})


def test_what_is_no_json_is_no_owner(pair):
    line, owner = pair
    owner.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert line.commands() is None


def test_an_owner_that_does_not_read_neither_blocks_nor_fills_memory(pair):
    line, owner = pair
    event = {"event": "exited", "name": "a" * 1000}
    for _ in range(5000):
        line.tell(event)
    assert line.wants & selectors.EVENT_WRITE
    line.tell({"id": 7, "states": []})
    line.tell({"event": "dropped"})
    received = read_all(line, owner)
    assert 1000 < len(received) < 3000
    assert received[-1] == {"id": 7, "states": []}


def read_all(line, owner):
    owner.settimeout(5)
    text = b""
    while not text.endswith(b'"states": []}\n'):
        text += owner.recv(1 << 20)
        line.flush()
    return [json.loads(part) for part in text.splitlines()]
