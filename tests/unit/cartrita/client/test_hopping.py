"""Tests of how a reader goes from one transport to the next, without any."""

import json

import msgpack
import pytest

from cartrita import errors
from cartrita.client.conversation import Conversation
from cartrita.client.steps import Broken
from tests.support.runtime import cursor, event
from tests.unit.cartrita.client.conftest import BROKEN, TASK, UNSENT, Script, problem, reply

WAYS = ("sse", "websocket")


def reading(*answers, ways=WAYS, after=None, **options):
    script = Script(*answers, **options)
    script.talk = Conversation(script.exchange, ways)
    return script, script.talk.listener(TASK, after)


def envelope(place, kind="token"):
    return {"messageType": "STREAM_DATA", "payload": event(TASK, place, kind)}


def test_each_failure_leads_to_the_other_transport():
    script, reader = reading(UNSENT, BROKEN, problem(503, "SERVICE_UNAVAILABLE"), reply(200))
    script.play(script.talk.listen(reader))
    paths = [call.path.rpartition("/")[2] for call in script.calls]
    assert paths == ["events", "ws", "events", "ws"]
    assert [call.upgraded for call in script.calls] == [False, True, False, True]


def test_the_next_transport_goes_on_behind_the_last_cursor():
    script, reader = reading()
    told = b"data: " + json.dumps(event(TASK, 3, "token")).encode() + b"\n\n"
    assert len(reader.feed(told)) == 1
    script.play(script.talk.resume(reader, BROKEN))
    assert json.loads(reader.call().body)["after"] == cursor(3)
    again = [*reader.feed(json.dumps(envelope(3))), *reader.feed(msgpack.packb(envelope(4)))]
    assert [one.cursor for one in again] == [cursor(4)]
    script.play(script.talk.resume(reader, BROKEN))
    assert reader.call().headers["Last-Event-ID"] == cursor(4)


def test_a_refusal_is_told_at_once():
    script, reader = reading(problem(404, "AUTHORIZATION_FAILED", reason="NOT_FOUND"))
    with pytest.raises(errors.NotFound):
        script.play(script.talk.listen(reader))


def test_transports_that_all_break_are_given_up():
    script, reader = reading(*[UNSENT] * 4, retries=3)
    with pytest.raises(errors.NetworkFailed, match="nobody listens"):
        script.play(script.talk.listen(reader))


def test_what_the_server_breaks_off_is_taken_up_again():
    _, reader = reading(ways=("websocket",))
    broke = {"op": "subscribe", "ok": False, "error": {"message": "too slow"}}
    with pytest.raises(Broken, match="too slow"):
        reader.feed(json.dumps(broke))
    assert reader.feed(json.dumps({"op": "subscribe", "ok": True, "result": {}})) == []


@pytest.mark.parametrize("message", ["<html>", "[1]", b"\xc1", '{"payload": {"cursor": 1}}'])
def test_what_is_no_message_is_told(message):
    _, reader = reading(ways=("websocket",))
    with pytest.raises(errors.InternalFailure, match="no stream of events"):
        reader.feed(message)
