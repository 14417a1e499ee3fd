"""Tests of how a task's events are read from streams that break."""

import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita import errors
from tests.support.runtime import cursor, event
from tests.unit.cartrita.client.conftest import BROKEN, TASK, UNSENT, Script, problem, reply

PATH = f"GET /v3/tasks/{TASK}/events"
KINDS = ("accepted", "queued", "started", "token", "token", "completed")
EVENTS = [event(TASK, place, kind, {"text": "é\u2028"}) for place, kind in enumerate(KINDS)]


def written(events=EVENTS, newline="\n"):
    """Write events as the server does."""
    blocks = ["retry: 1000"]
    blocks += [
        newline.join((f"id: {e['cursor']}", f"event: {e['type']}", f"data: {json.dumps(e)}"))
        for e in events
    ]
    return (newline * 2).join([*blocks, ""]).encode()


def listener(after=None, **options):
    return Script(**options).talk.listener(TASK, after)


@given(
    cuts=st.lists(st.integers(0, len(written())), max_size=20),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_however_the_stream_is_cut_the_events_are_the_same(cuts, newline):
    stream, reader = written(newline=newline), listener()
    places = [0, *sorted(cuts), len(stream)]

    found = [told for start, end in pairwise(places) for told in reader.feed(stream[start:end])]

    assert [(told.cursor, told.type) for told in found] == [
        (e["cursor"], e["type"]) for e in EVENTS
    ]
    assert reader.ended
    assert found[0].data == {"text": "é\u2028"}
    assert found[0].at == datetime(2026, 11, 25, 12, 0, 0, 125000, UTC)


def test_a_stream_goes_on_where_the_last_one_broke():
    reader = listener()
    assert "Last-Event-ID" not in reader.call().headers
    reader.feed(written(EVENTS[:2]) + b"id: 3\nda")

    assert reader.call().headers["Last-Event-ID"] == cursor(1)
    again = reader.feed(written(EVENTS[1:3]))

    assert [told.cursor for told in again] == [cursor(2)]  # what it knows is not told twice
    assert not reader.ended


def test_a_caller_begins_where_it_wants():
    assert listener(after=cursor(4)).call().headers["Last-Event-ID"] == cursor(4)


def test_events_of_a_newer_server_are_taken():
    newer = {**EVENTS[0], "type": "thought", "mood": "good"}
    assert listener().feed(written([newer]))[0].type == "thought"


@pytest.mark.parametrize("stream", [b"data: <html>\n\n", b'data: {"cursor": 1}\n\n'])
def test_what_is_no_event_is_told(stream):
    with pytest.raises(errors.InternalFailure, match="no stream of events"):
        listener().feed(stream)


def test_what_never_ends_is_not_kept(monkeypatch):
    monkeypatch.setattr("cartrita.client.listening.LONGEST_EVENT", 100)
    with pytest.raises(errors.InternalFailure, match="no stream of events"):
        listener().feed(b"data: " + b"x" * 100)


def test_opening_a_stream_is_tried_again():
    script = Script(UNSENT, BROKEN, problem(503, "SERVICE_UNAVAILABLE"), reply(200))
    reader = script.talk.listener(TASK, None)

    script.play(script.talk.listen(reader))

    assert script.said == [PATH] * 4
    assert all(call.streamed for call in script.calls)
    assert not reader.ended


def test_nothing_more_ends_it():
    script = Script(reply(204))
    reader = script.talk.listener(TASK, cursor(9))
    script.play(script.talk.listen(reader))
    assert reader.ended


def test_a_task_of_nobody_is_told_at_once():
    script = Script(problem(404, "AUTHORIZATION_FAILED", reason="NOT_FOUND"))
    with pytest.raises(errors.NotFound):
        script.play(script.talk.listen(script.talk.listener(TASK, None)))


def test_streams_that_break_without_a_word_are_given_up():
    script = Script(retries=3)
    reader = script.talk.listener(TASK, None)
    for _ in range(3):
        script.play(script.talk.resume(reader, BROKEN))
    with pytest.raises(errors.ChannelLost, match="the line broke"):
        script.play(script.talk.resume(reader, BROKEN))


@pytest.mark.parametrize("word", [b":\n\n", written(EVENTS[:1])])
def test_a_stream_that_was_alive_is_not_given_up(word):
    script = Script(retries=3)
    reader = script.talk.listener(TASK, None)
    for _ in range(10):
        reader.feed(word)
        script.play(script.talk.resume(reader, BROKEN))
    assert len(script.pauses) == 10


def test_a_stream_may_last_for_longer_than_any_call():
    script = Script(reply(200), timeout=10)
    reader = script.talk.listener(TASK, None)
    script.clock.advance(86_400)
    script.play(script.talk.listen(reader))
    assert script.calls[0].timeout == 45
