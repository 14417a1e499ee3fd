"""The WebSocket: many tasks on one socket, each log from where the client was."""

import base64

import pytest

from cartrita.clock import new_id
from tests.support.runtime import cursor
from tests.support.sockets import calling, socket_gateway, token_of
from tests.support.troupe import Listener, Speaker

ECHO = {"taskType": "system.echo", "parameters": {"payload": "hello"}}


@pytest.fixture
async def gateway():
    async with socket_gateway(agents=(Speaker, Listener)) as running:
        yield running


@pytest.fixture
async def alice(gateway):
    return await gateway[0].user("alice@example.org")


def speech(**parameters):
    return {"taskType": "speak.steps", "parameters": parameters}


def place(envelope):
    return envelope["payload"]["cursor"]


@pytest.mark.parametrize("packed", [False, True])
async def test_a_task_is_submitted_and_followed_to_its_end(gateway, alice, packed):
    async with calling(gateway[1], alice, packed=packed) as caller:
        answer = await caller.ask("submit", task=ECHO, subscribe=True)
        task_id = answer["result"]["taskId"]
        envelopes = await caller.to_the_end()

    types = [(one["messageType"], one["payload"]["type"]) for one in envelopes]
    assert types == [
        ("TASK_PROGRESS", "accepted"),
        ("TASK_PROGRESS", "queued"),
        ("TASK_PROGRESS", "started"),
        ("TASK_RESPONSE", "completed"),
    ]
    for one in envelopes:
        assert one["correlationId"] == one["payload"]["taskId"] == task_id
        assert one["cursor"] == place(one)
        assert set(one["payload"]) == {"cursor", "taskId", "attempt", "type", "at", "data"}
    assert len({one["id"] for one in envelopes}) == 4
    assert envelopes[-1]["payload"]["data"]["result"] == {"payload": "hello"}


async def test_tokens_come_as_stream_data(gateway, alice):
    task = {"taskType": "speak.text", "parameters": {"text": "one two"}}
    async with calling(gateway[1], alice) as caller:
        await caller.ask("submit", task=task, subscribe=True)
        envelopes = await caller.to_the_end()

    told = [one["payload"] for one in envelopes if one["messageType"] == "STREAM_DATA"]
    assert "".join(one["data"]["text"] for one in told) == "one two "
    assert {one["type"] for one in told} == {"token"}


async def test_many_tasks_share_one_socket(gateway, alice):
    async with calling(gateway[1], alice) as caller:
        ids = [
            (await caller.ask("submit", task=ECHO, subscribe=True))["result"]["taskId"]
            for _ in range(20)
        ]
        ended = {e["correlationId"] for e in caller.events if e["messageType"] == "TASK_RESPONSE"}
        while len(ended) < len(ids):
            told = await caller.envelope()
            if told["messageType"] == "TASK_RESPONSE":
                ended.add(told["correlationId"])

    assert ended == set(ids)


async def test_a_client_goes_on_where_it_was(gateway, alice):
    api, port = gateway
    async with calling(port, alice) as caller:
        answer = await caller.ask("submit", task=speech(before=3, after=2), subscribe=True)
        task_id = answer["result"]["taskId"]
        first = [await caller.envelope() for _ in range(4)]
    await api.stand.stage.begun()
    api.stand.stage.release.set()

    async with calling(port, alice) as caller:
        await caller.ask("subscribe", taskId=task_id, after=place(first[-1]))
        rest = await caller.to_the_end()
        whole = await caller.ask("subscribe", taskId=task_id)
        everything = await caller.to_the_end()
        over = await caller.ask("subscribe", taskId=task_id, after=place(rest[-1]))

    assert whole["ok"]
    assert [*first, *rest] == everything  # their ids included
    assert over["result"] == {"taskId": task_id, "done": True}


async def test_a_client_that_leaves_does_not_stop_its_task(gateway, alice):
    api, port = gateway
    async with calling(port, alice) as caller:
        answer = await caller.ask("submit", task=speech(), subscribe=True)
        await api.stand.stage.begun()
    api.stand.stage.release.set()

    got = await api.http.get(
        f"/v3/tasks/{answer['result']['taskId']}", params={"wait": "10"}, headers=alice
    )

    assert got.json()["status"] == "COMPLETED"


async def test_a_task_is_cancelled(gateway, alice):
    api, port = gateway
    async with calling(port, alice) as caller:
        answer = await caller.ask("submit", task=speech(), subscribe=True)
        task_id = answer["result"]["taskId"]
        await api.stand.stage.begun()
        cancelled = await caller.ask("cancel", taskId=task_id)
        envelopes = await caller.to_the_end()
        again = await caller.ask("cancel", taskId=task_id)
        got = await caller.ask("get", taskId=task_id)

    assert cancelled["result"] == {"taskId": task_id, "cancelled": True}
    assert envelopes[-1]["payload"]["type"] == "cancelled"
    assert again["result"]["cancelled"] is False
    assert got["result"]["status"] == "CANCELLED"


async def test_nothing_is_told_after_unsubscribing(gateway, alice):
    script = gateway[0].stand.told.script()
    script.say("accepted")
    async with calling(gateway[1], alice) as caller:
        await caller.ask("subscribe", taskId=script.task_id)
        await caller.envelope()
        done = await caller.ask("unsubscribe", taskId=script.task_id)
        await script.until(readers=0)
        script.say("token", {"text": "unheard"})
        pong = await caller.ask("ping")
        again = await caller.ask("unsubscribe", taskId=script.task_id)

    assert done["result"]["unsubscribed"] is True
    assert again["result"]["unsubscribed"] is False
    assert pong["ok"]
    assert caller.events == []


async def test_bytes_are_streamed_into_a_task(gateway, alice):
    task = {"taskType": "listen.all", "parameters": {}}
    async with calling(gateway[1], alice, packed=True) as caller:
        answer = await caller.ask("submit", task=task, subscribe=True)
        task_id = answer["result"]["taskId"]
        at = {"taskId": task_id}
        start = await caller.ask("stream", **at, piece="start", sequence=0, contentType="audio/wav")
        refs = [
            await caller.say("stream", **at, piece="data", sequence=n, data=b"\xff\x00%d" % n)
            for n in range(1, 9)
        ]
        await caller.say("stream", **at, piece="end", sequence=9)
        told = [*caller.events]
        while not told or told[-1].get("messageType") != "TASK_RESPONSE":
            told.append(await caller.next())

    assert start["result"] == {"taskId": task_id, "sequence": 0}
    answers = {one["id"]: one for one in told if "messageType" not in one}
    assert all(answers[ref]["ok"] for ref in refs)
    result = told[-1]["payload"]["data"]["result"]
    assert result["pieces"] == [str(b"\xff\x00%d" % n) for n in range(1, 9)]
    assert result["contentType"] == "audio/wav"


async def test_bytes_come_as_base64_in_json_and_a_gap_is_refused(gateway, alice):
    task = {"taskType": "listen.all", "parameters": {}}
    async with calling(gateway[1], alice) as caller:
        answer = await caller.ask("submit", task=task, subscribe=True)
        at = {"taskId": answer["result"]["taskId"]}
        await caller.ask("stream", **at, piece="start", sequence=0)
        data = base64.b64encode(b"\xffab").decode()
        await caller.ask("stream", **at, piece="data", sequence=1, data=data, encoding="base64")
        gap = await caller.ask("stream", **at, piece="data", sequence=5, data="x")
        wrong = await caller.ask(
            "stream", **at, piece="data", sequence=2, data="?", encoding="base64"
        )
        await caller.ask("stream", **at, piece="data", sequence=2, data={"plain": 1})
        await caller.ask("stream", **at, piece="end", sequence=3)
        envelopes = await caller.to_the_end()

    assert gap["error"]["code"] == "INVALID_MESSAGE_FORMAT"
    assert wrong["error"]["errors"] == [{"field": "data", "message": "is not base64"}]
    assert envelopes[-1]["payload"]["data"]["result"]["pieces"] == [
        str(b"\xffab"), str({"plain": 1}),
    ]  # fmt: skip


async def test_the_end_is_awaited_where_it_is_asked_for(gateway, alice):
    async with calling(gateway[1], alice) as caller:
        answer = await caller.ask("submit", task=ECHO, wait=True)

    assert answer["result"]["status"] == "COMPLETED"
    assert answer["result"]["result"] == {"payload": "hello"}


async def test_an_answer_and_a_refusal_name_the_trace(gateway, alice):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    wrong = {"taskType": "no.such", "parameters": {}}
    async with calling(gateway[1], alice) as caller:
        told = [
            (await caller.ask("submit", task=ECHO, wait=True, traceparent=trace))["result"],
            (await caller.ask("submit", task=wrong, traceparent=trace))["error"],
            (await caller.ask("get", taskId=new_id()))["error"],
        ]

    assert [one["traceId"] for one in told[:2]] == [trace[3:35]] * 2
    assert told[2]["traceId"] not in (None, trace[3:35])


async def test_a_repeat_with_the_same_key_is_the_same_task(gateway, alice):
    async with calling(gateway[1], alice) as caller:
        first = await caller.ask("submit", task=ECHO, wait=True, idempotencyKey="once")
        second = await caller.ask("submit", task=ECHO, wait=True, idempotencyKey="once")

    assert second["result"]["taskId"] == first["result"]["taskId"]


async def test_tasks_of_others_are_not_found(gateway, alice):
    bob = await gateway[0].user("bob@example.org")
    async with calling(gateway[1], alice) as caller:
        task_id = (await caller.ask("submit", task=ECHO, wait=True))["result"]["taskId"]
    async with calling(gateway[1], bob) as caller:
        answers = [await caller.ask(op, taskId=task_id) for op in ("subscribe", "get", "cancel")]
        answers.append(await caller.ask("stream", taskId=task_id, piece="start", sequence=0))

    assert [one["error"]["reason"] for one in answers] == ["NOT_FOUND"] * 4


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"op": "dance"}, "INVALID_MESSAGE_FORMAT", "op"),
        ({"op": "subscribe"}, "INVALID_PARAMETERS", "taskId"),
        ({"op": "subscribe", "taskId": "x"}, "INVALID_PARAMETERS", "taskId"),
        ({"op": "subscribe", "taskId": new_id(), "extra": 1}, "INVALID_PARAMETERS", "extra"),
        ({"op": "submit", "task": {"parameters": {}}}, "INVALID_PARAMETERS", "task.taskType"),
        ({"op": "stream", "taskId": new_id(), "piece": "x", "sequence": 0},
         "INVALID_PARAMETERS", "piece"),
    ],
)  # fmt: skip
async def test_a_wrong_command_is_refused_and_the_socket_stays(gateway, alice, fields, code, field):
    async with calling(gateway[1], alice) as caller:
        answer = await caller.ask(fields.pop("op"), **fields)
        pong = await caller.ask("ping")

    assert answer["ok"] is False
    assert answer["error"]["code"] == code
    assert [one["field"] for one in answer["error"]["errors"]] == [field]
    assert pong["ok"]


async def test_what_is_no_message_is_refused_and_the_socket_stays(gateway, alice):
    async with calling(gateway[1], alice) as caller:
        for junk in ("", "{", "[]", "null", '{"op": 5}', '{"op":"ping","n":NaN}', b"\xc1", b"\x90"):
            await caller.socket.send(junk)
            assert (await caller.next())["error"]["code"] == "INVALID_MESSAGE_FORMAT"
        assert (await caller.ask("ping"))["ok"]


async def test_events_that_break_off_are_told_with_an_error(gateway, alice):
    from cartrita.errors import ServiceUnavailable

    script = gateway[0].stand.told.script()
    script.say("accepted")
    async with calling(gateway[1], alice) as caller:
        ref = await caller.say("subscribe", taskId=script.task_id)
        assert (await caller.next())["ok"]
        assert place(await caller.next()) == cursor(0)
        script.fail(ServiceUnavailable("The journal cannot be read.", retry_after=2))
        told = await caller.next()

    assert (told["id"], told["ok"], told["taskId"]) == (ref, False, script.task_id)
    assert told["error"]["code"] == "SERVICE_UNAVAILABLE"
    assert told["error"]["retryAfter"] == 2


async def test_the_first_message_may_say_who_speaks(gateway, alice):
    async with calling(gateway[1]) as caller:
        first = await caller.ask("auth", token=token_of(alice))
        assert first["ok"]
        assert set(first["result"]) == {"user", "expiresAt"}
        assert (await caller.ask("submit", task=ECHO, wait=True))["ok"]


async def test_a_page_says_who_speaks_among_the_subprotocols(gateway, alice):
    offered = ["cartrita.v3", f"bearer.{token_of(alice)}"]
    async with calling(gateway[1], subprotocols=offered) as caller:
        assert caller.socket.subprotocol == "cartrita.v3"
        assert (await caller.ask("ping"))["ok"]
