"""Tests of the blocking client against the real gateway, and against a flaky one."""

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from cartrita import errors
from cartrita.client import Client, TaskOutcome
from cartrita.clock import new_id
from cartrita.protocol.task import TaskStatus
from tests.support.api_server import ADMIN
from tests.support.effects import doubtful
from tests.support.elsewhere import registration, task_type


@pytest.fixture
def client(api):
    with Client(api, email=ADMIN[0], password=ADMIN[1]) as opened:
        yield opened


def test_a_task_runs_and_comes_back_typed(client):
    answer = client.run("system.echo", {"payload": {"a": None}}, priority=9, timeout=5)
    assert isinstance(answer, TaskOutcome)
    assert answer.unwrap() == {"payload": {"a": None}}
    assert answer.metrics.processing_time_ms > 0


def test_a_failed_task_is_a_value_until_it_is_unwrapped(client):
    answer = client.run("test.unlucky")
    assert answer.status is TaskStatus.FAILED
    with pytest.raises(errors.AgentFailed, match="could not be done"):
        answer.unwrap()


def test_a_repeat_under_the_same_id_is_the_same_task(client):
    one = new_id()
    first = client.run("system.echo", {"payload": 1}, task_id=one)
    assert client.run("system.echo", {"payload": 1}, task_id=one) == first


def test_wrong_parameters_are_named(client):
    with pytest.raises(errors.InvalidParameters) as told:
        client.run("system.echo", {"payload": 1, "delay": 3})
    assert told.value.fields[0].field == "parameters.delay"


def test_a_task_type_that_is_not_there_is_told(client):
    with pytest.raises(errors.InvalidTaskType, match=r"'system\.echo'"):
        client.run("system.ehco", {})


def test_a_handle_shows_cancels_and_waits(client):
    handle = client.submit("system.echo", {"payload": 1, "delayMs": 10_000})
    assert not handle.status().terminal
    assert handle.cancel() is True
    assert handle.wait(5).status is TaskStatus.CANCELLED
    assert handle.cancel() is False


def test_waiting_for_a_task_that_goes_on_is_told(client):
    handle = client.submit("system.echo", {"payload": 1, "delayMs": 10_000})
    with pytest.raises(errors.StillRunning, match=handle.task_id):
        handle.wait(0.05)
    handle.cancel()


def test_a_task_of_nobody_is_not_found(client):
    with pytest.raises(errors.NotFound):
        client.get(new_id())


def test_the_system_can_be_looked_at(client):
    assert "system.echo" in [entry.task_type for entry in client.catalog()]
    assert [s["id"] for s in client.tree()["supervisors"]][-1] == "system/0"
    assert client.health()["status"] == "healthy"
    assert client.me().role == "admin"


def test_an_external_agent_is_registered_and_removed(client):
    told = registration(name="weather", taskTypes=[task_type("weather.high")])
    assert (client.register_agent(told))["taskTypes"] == ["weather.high"]
    assert (client.register_agent(told))["replaced"]
    assert "weather" in [agent["name"] for agent in client.agents()]
    client.remove_agent("weather")
    with pytest.raises(errors.NotFound, match="weather"):
        client.remove_agent("weather")


def test_somebody_new_registers_and_is_signed_in(api):
    with Client(api) as client:
        made = client.register("new@example.org", "correct horse", "New")
        assert client.me() == made
        with pytest.raises(errors.InvalidParameters, match="in use"):
            client.register("new@example.org", "correct horse")


def test_a_wrong_password_is_told(api):
    with Client(api) as client, pytest.raises(errors.AuthenticationFailed, match="wrong"):
        client.login(ADMIN[0], "wrong password")


def test_an_access_token_is_enough(api, client):
    with Client(api) as other:
        other.login(*ADMIN)
        token = other._talk._exchange._sessions.read().token
    with Client(api, token) as bearer:
        assert bearer.me() == client.me()


def test_a_stale_token_is_replaced_without_the_caller_noticing(api):
    with Client(api, "no.such.token", *ADMIN) as client:
        assert client.me().email == ADMIN[0]


def test_nobody_there_is_told_with_the_address():
    with (
        Client("http://127.0.0.1:9", "token", retries=1) as client,
        pytest.raises(errors.NetworkFailed, match="127"),
    ):
        client.run("system.echo", {"payload": 1})


class Flaky(httpx.BaseTransport):
    """Breaks, refuses, then answers; remembers the ids it was sent."""

    def __init__(self, *behaviours):
        self.behaviours, self.ids = list(behaviours), []

    def handle_request(self, request):
        body = json.loads(request.content) if request.content else {}
        self.ids.append(body.get("taskId") or request.url.path.rpartition("/")[2])
        behaviour = self.behaviours.pop(0)
        if isinstance(behaviour, Exception):
            raise behaviour
        status, answer = behaviour
        return httpx.Response(status, json={"taskId": self.ids[0], **answer})


def test_a_flaky_server_is_asked_for_the_same_task_until_it_answers():
    flaky = Flaky(
        httpx.ConnectError("refused"),
        (503, {"code": "QUEUE_FULL", "detail": "full"}),
        httpx.ReadError("reset"),
        (404, {"code": "AUTHORIZATION_FAILED", "reason": "NOT_FOUND"}),
        (200, {"status": "COMPLETED", "result": {"payload": 1}}),
    )
    with Client(token="t", http=flaky) as client:
        assert client.run("system.echo", {"payload": 1}).unwrap() == {"payload": 1}
    assert len(flaky.ids) == 5
    assert len(set(flaky.ids)) == 1


class Torn(httpx.BaseTransport):
    """Passes every request on and tears each stream of events after some bytes of its own."""

    def __init__(self, *lengths):
        self.lengths, self.seen, self.real = list(lengths), [], httpx.HTTPTransport()

    def handle_request(self, request):
        response = self.real.handle_request(request)
        if request.url.path.endswith("/events"):
            self.seen.append(request.headers.get("Last-Event-ID"))
            if self.lengths:
                response.stream = TornStream(response.stream, self.lengths.pop(0))
        return response

    def close(self):
        self.real.close()


class TornStream(httpx.SyncByteStream):
    def __init__(self, stream, length):
        self.stream, self.length = stream, length

    def __iter__(self):
        for part in self.stream:
            if len(part) >= self.length:
                yield part[: self.length]
                raise httpx.ReadError("torn")
            self.length -= len(part)
            yield part

    def close(self):
        self.stream.close()


def test_events_come_to_the_end_of_the_task(client):
    handle = client.submit("system.echo", {"payload": 7})
    seen = list(handle.events())
    assert [told.type for told in seen] == ["accepted", "queued", "started", "completed"]
    assert seen[-1].data["result"] == {"payload": 7}
    assert list(client.events(handle.task_id, after=seen[1].cursor)) == seen[2:]
    assert list(client.events(handle.task_id, after=seen[-1].cursor)) == []


def test_a_torn_stream_is_taken_up_without_a_gap_or_a_repeat(api, client):
    handle = client.submit("system.echo", {"payload": 7})
    whole = list(handle.events())
    torn = Torn(5, 300, 300, 300)
    with Client(api, None, *ADMIN, http=torn) as other:
        assert list(other.events(handle.task_id)) == whole
    assert torn.seen[0] is None
    assert torn.seen[-1] == whole[-2].cursor


def test_a_stream_may_be_left_at_any_time(client):
    handle = client.submit("system.echo", {"payload": 1, "delayMs": 10_000})
    for told in handle.events():
        if told.type == "started":
            break
    assert handle.cancel() is True
    assert handle.wait(5).status is TaskStatus.CANCELLED


def test_events_of_nobody_are_not_found(client):
    with pytest.raises(errors.NotFound):
        next(client.events(new_id()))


def test_quarantined_tasks_are_listed_inspected_retried_and_discarded(client, inside):
    first, second = (inside.wards[0].admit("somebody") for _ in range(2))
    assert [row["taskId"] for row in client.quarantined(1)] == [second]
    assert first in [row["taskId"] for row in client.quarantined(before=second)]
    assert client.inspect(first)["attempts"] == 3
    assert client.retry(first, {"payload": 2}).wait(5).unwrap() == {"payload": 2}
    assert client.discard(second) is True
    assert client.discard(second) is False
    with pytest.raises(errors.InvalidParameters, match="before"):
        client.retry(first)
    with pytest.raises(errors.NotFound):
        client.inspect(new_id())


def test_effects_are_listed_and_doubts_are_settled(client, inside):
    tables = inside.trees[0].tables
    made = [asyncio.run(doubtful(tables, shard=f"x/{number}")) for number in range(2)]
    first, second = sorted(made)  # those of tasks of one millisecond stand in any order
    assert [row["effectId"] for row in client.effects(limit=1)] == [second]
    assert first in [row["effectId"] for row in client.effects(before=second)]
    assert client.resolve(first, "done", {"receipt": 1})["result"] == {"receipt": 1}
    assert client.resolve(second, "not_done")["state"] == "not_done"
    assert first in [row["effectId"] for row in client.effects("done")]
    with pytest.raises(errors.EffectSettled):
        client.resolve(first, "not_done")
    with pytest.raises(errors.NotFound):
        client.resolve(new_id(), "done")


def test_commands_are_carried_out_and_recorded(client, inside):
    answer = client.command("SCALE_UP", "intelligence/0", by=2)
    assert answer["results"] == [{"id": "intelligence/0", "ok": True, "state": "up"}]
    entry = client.audit(limit=1)[0]
    assert (entry["action"], entry["detail"]) == ("SCALE_UP", {"by": 2})
    assert entry not in client.audit(before=entry["id"])
    with pytest.raises(errors.NotFound):
        client.command("RESTART", "nowhere")
    with pytest.raises(errors.InvalidParameters) as told:
        client.command("RESTART", "tree", by=2)
    assert told.value.fields[0].field == "arguments.by"


def test_only_administrators_command(api):
    with Client(api) as client:
        client.register("plain@example.org", "correct horse")
        with pytest.raises(errors.AuthorizationFailed):
            client.command("EMERGENCY_STOP", "tree")


class Forgetful(httpx.BaseTransport):
    """Passes every request on and loses the first answers."""

    def __init__(self, losses):
        self.losses, self.sent, self.real = losses, [], httpx.HTTPTransport()

    def handle_request(self, request):
        response = self.real.handle_request(request)
        response.read()
        if not request.url.path.startswith("/v3"):
            return response
        self.sent.append(request.method)
        if len(self.sent) <= self.losses:
            raise httpx.RemoteProtocolError("closed")
        return response

    def close(self):
        self.real.close()


def test_a_task_whose_answers_are_lost_runs_once(api):
    forgetful = Forgetful(3)
    with Client(api, None, *ADMIN, http=forgetful) as client:
        answer = client.run("system.echo", {"payload": 1}, timeout=20)
        assert answer.unwrap() == {"payload": 1}
        assert client.get(answer.task_id) == answer
    assert forgetful.sent.count("POST") == 1
    assert answer.metrics.retry_count == 0


class Rotating(httpx.BaseTransport):
    """Accepts one token at a time and gives another for each refresh token, once."""

    def __init__(self):
        self.lock, self.number, self.reused = threading.Lock(), 0, False
        self.first = threading.Barrier(8)

    def handle_request(self, request):
        if request.url.path == "/auth/refresh":
            return self.renew(json.loads(request.content)["refreshToken"])
        token = request.headers["Authorization"]
        if token == "Bearer t0":
            self.first.wait(10)  # all threads learn of the refusal together
            return httpx.Response(401, json={"code": "AUTHENTICATION_FAILED"})
        return httpx.Response(200, json={"id": "1", "email": "e", "name": "n", "role": "user"})

    def renew(self, token):
        with self.lock:
            self.reused |= token != f"r{self.number}"
            self.number += 1
            new = {"token": f"t{self.number}", "refreshToken": f"r{self.number}"}
            return httpx.Response(200, json=new)


def test_threads_that_are_refused_together_refresh_once():
    from cartrita.client.models import Session
    from cartrita.client.sessions import MemorySessions

    server = Rotating()
    sessions = MemorySessions(Session(token="t0", refresh_token="r0"))
    with Client(sessions=sessions, http=server) as client:
        threads = [threading.Thread(target=client.me) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert (server.number, server.reused) == (1, False)


def test_a_task_s_whole_story_can_be_read_to_any_step(client):
    done = client.run("busy.work")
    story = client.story(done.task_id)
    assert story["modelCalls"][0]["model"] == "model/a"
    upto = client.story(done.task_id, story["events"][1]["cursor"])
    assert [event["type"] for event in upto["events"]] == ["accepted", "queued"]
    with pytest.raises(errors.NotFound):
        client.story(new_id())
    with pytest.raises(errors.InvalidParameters, match="cursor"):
        client.story(done.task_id, "later")


def test_a_client_with_a_key_is_its_user_and_may_what_it_says(client, api):
    made = client.create_key("ci", ["tasks:*"], days=1)
    assert made["key"] not in str(client.keys())
    with Client(api, made["key"]) as program:
        assert program.run("system.echo", {"payload": 1}).unwrap() == {"payload": 1}
        with pytest.raises(errors.AuthorizationFailed, match="keys:read"):
            program.keys()
        client.revoke_key(made["keyId"])
        with pytest.raises(errors.AuthenticationFailed):
            program.me()
    assert made["keyId"] not in [key["keyId"] for key in client.keys(limit=200)]


def test_budgets_are_set_by_administrators_and_seen_by_their_owners(client):
    name = f"tenant:{new_id()}"
    row = client.set_budget(name, 2.5, None, "total")
    assert (row["maxUsd"], row["maxTokens"], row["resetsAt"]) == (2.5, None, None)
    assert client.budget(name) == row
    assert row in client.budgets(limit=200)
    assert client.reset_budget(name)["isSet"] is False
    with pytest.raises(errors.NotFound):
        client.reset_budget(name)


def test_usage_is_added_up(client):
    now = datetime.now(UTC)
    found = client.usage("day", since=now - timedelta(days=1), until=now)
    assert found["by"] == "day"
    with pytest.raises(errors.InvalidParameters, match="time zone"):
        client.usage(since=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
