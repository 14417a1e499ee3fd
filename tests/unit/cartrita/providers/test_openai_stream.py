"""Tests of cartrita/providers/openai_stream.py."""

import asyncio
import json
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.providers.openai_stream import EACH, LONGEST, BrokenOff, Pace, gathered, joined

FINISH = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}


def word(text, **more):
    return {"id": "x", "choices": [{"index": 0, "delta": {"content": text, **more}}]}


def call(arguments):
    delta = {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}
    return {"choices": [{"index": 0, "delta": delta}]}


def written(events, done=True, line="\n"):
    lines = [f"data: {json.dumps(event)}{line}{line}" for event in events]
    return ("".join(lines) + (f"data: [DONE]{line}{line}" if done else "")).encode()


async def read(body, cuts=()):
    async def blocks():
        before = 0
        for cut in (*sorted(cuts), len(body)):
            yield body[before:cut]
            before = cut

    return [event async for event in joined(blocks())]


def text_of(events):
    choices = [choice for event in events for choice in event["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@given(st.lists(st.text(max_size=8), max_size=20), st.data())
async def test_wherever_the_body_is_cut_the_text_is_the_same(words, data):
    body = written([*map(word, words), FINISH, USAGE])
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=8))
    events = await read(body, cuts)
    assert text_of(events) == "".join(words)
    assert events[-2:] == [FINISH, USAGE]


async def test_words_that_came_together_are_one_event():
    events = await read(written([word("a"), word("b"), word("c"), FINISH]))
    assert events == [word("abc"), FINISH]


async def test_what_says_more_than_words_stays_alone_and_in_its_place():
    usage = word("b") | {"usage": {"total_tokens": 1}}
    given_ = [word("a"), call("{"), call("}"), word("c", refusal="no"), usage, word("d"), FINISH]
    assert await read(written(given_)) == given_


async def test_an_empty_refusal_beside_words_is_nothing_more():
    joined_, finish = await read(
        written([word("a", refusal=None), word("b", tool_calls=None), FINISH])
    )
    assert text_of([joined_]) == "ab"
    assert finish == FINISH


async def test_comments_and_other_fields_are_passed_over():
    body = b": ping\n\nevent: x\n" + written([word("a"), FINISH], line="\r\n")
    assert text_of(await read(body)) == "a"


async def test_a_server_that_finishes_without_the_last_mark_has_finished():
    assert text_of(await read(written([word("a"), FINISH], done=False))) == "a"


async def test_a_last_line_without_its_end_is_read():
    body = written([word("a"), FINISH], done=False).rstrip()
    assert await read(body) == [word("a"), FINISH]


async def test_a_stream_that_ends_in_mid_answer_says_so_after_what_came():
    async def blocks():
        yield written([word("a")], done=False)

    events = joined(blocks())
    assert text_of([await anext(events)]) == "a"
    with pytest.raises(BrokenOff):
        await anext(events)


class Socket:
    """Pieces that are there at once, and groups of them that come when a test says so."""

    def __init__(self, *groups, error=None):
        self._groups, self._error = groups, error
        self.go, self.reads = asyncio.Semaphore(0), 0
        self.closed = asyncio.Event()

    async def pieces(self):
        try:
            for group in self._groups:
                await self.go.acquire()
                self.reads += 1
                for piece in group:
                    yield piece
            if self._error:
                raise self._error
        finally:
            self.closed.set()


@given(st.lists(st.lists(st.binary(max_size=5), max_size=5), max_size=6), st.integers(1, 50))
async def test_at_any_pace_all_of_a_body_comes_through_in_order(groups, streams):
    socket, pace = Socket(*groups), Pace()
    for _ in groups:
        socket.go.release()
    pace.streams = min(streams, 3)
    found = [block async for block in gathered(socket.pieces(), pace)]
    assert b"".join(found) == b"".join(piece for group in groups for piece in group)
    assert pace.streams == min(streams, 3)


async def test_what_came_in_one_read_is_one_block_and_does_not_wait_for_the_next():
    socket = Socket([b"a", b"b"], [b"c"])
    async with aclosing(gathered(socket.pieces(), Pace())) as blocks:
        socket.go.release()
        first = await asyncio.wait_for(anext(blocks), 5)
        while first != b"ab":
            first += await asyncio.wait_for(anext(blocks), 5)
        socket.go.release()
        assert await asyncio.wait_for(anext(blocks), 5) == b"c"


async def test_the_error_comes_after_what_came_before_it():
    socket = Socket([b"a"], error=ConnectionError("cut"))
    socket.go.release()
    blocks = gathered(socket.pieces(), Pace())
    assert await anext(blocks) == b"a"
    with pytest.raises(ConnectionError):
        await anext(blocks)


async def test_leaving_ends_the_reading():
    socket, pace = Socket([b"a"], [b"b"]), Pace()
    socket.go.release()
    async with aclosing(gathered(socket.pieces(), pace)) as blocks:
        await anext(blocks)
        assert pace.streams == 1
    assert pace.streams == 0
    assert socket.reads == 1


def test_a_stream_alone_is_read_as_it_comes_and_many_take_turns():
    pace = Pace()
    rests = []
    for streams in (0, 1, 10, 10_000):
        pace.streams = streams
        rests.append(pace.rest)
    assert rests == [0, 0, 10 * EACH, LONGEST]
