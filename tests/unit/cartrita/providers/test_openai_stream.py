"""Tests of cartrita/providers/openai_stream.py."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.providers.openai_stream import BrokenOff, joined

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
