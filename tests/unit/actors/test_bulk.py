"""Many tasks that are handed in together."""

import asyncio

import pytest

from actors import bulk as bulk_module
from actors.bulk import MOST, portions
from actors.counting import Traffic
from actors.entrance import Entrance
from cartrita.clock import SystemClock, new_id
from cartrita.errors import (
    InvalidParameters,
    InvalidTaskType,
    NotFound,
    ResourceLimitExceeded,
    ServiceUnavailable,
)
from tests.support.processes import eventually
from tests.support.records import ADA, EVE, record
from tests.support.stage import request


def together(door, *asked, who=ADA, wait=True):
    pairs = [one if isinstance(one, tuple) else (one, None) for one in asked]
    return asyncio.create_task(door.submit_many(pairs, who, wait=wait))


async def test_each_has_its_own_answer_in_order(door):
    asked = [request(text="one"), request("no.such"), request(parameters={"text": 7})]
    asked += [request("test.fail", "AgentFailed"), request("sleeper.echo", "five")]
    one, unknown, wrong, failed, five = await together(door, *asked)
    assert (one["status"], one["result"]["text"]) == ("COMPLETED", "one")
    assert isinstance(unknown, InvalidTaskType)
    assert isinstance(wrong, InvalidParameters)
    assert (failed["status"], failed["errorCode"]) == ("FAILED", "AGENT_ERROR")
    assert five["result"]["text"] == "five"


async def test_more_than_one_request_takes_are_all_done(door, monkeypatch):
    monkeypatch.setattr(bulk_module, "MOST", 3)
    answers = await together(door, *(request(text=str(n)) for n in range(10)))
    assert [answer["result"]["text"] for answer in answers] == [str(n) for n in range(10)]


async def test_nobody_waits_for_ends_who_does_not_want_to(door, stage):
    answers = await together(door, request("test.hold"), request("test.hold"), wait=False)
    assert [answer["status"] for answer in answers] == ["PENDING"] * 2
    await stage.begun()
    await stage.begun()
    stage.release.set()
    for answer in answers:
        assert (await door.get(answer["taskId"], ADA, 5))["status"] == "COMPLETED"


async def test_none_at_all_is_no_work(door):
    assert await together(door) == []


async def test_a_repeat_is_the_same_task_and_another_s_is_nobody_s(door):
    mine = request(text="mine", task_id=new_id())
    first, key = await together(door, mine, (request(text="kept"), "a key"))
    again, other = await together(door, mine, (request(text="kept"), "a key"))
    assert (again, other["taskId"]) == (first, key["taskId"])
    (refused,) = await together(door, mine, who=EVE)
    assert isinstance(refused, NotFound)


async def test_what_its_caller_left_goes_on(door, stage, tree):
    task_id = new_id()
    asked = together(door, request("test.hold", task_id=task_id), request())
    await stage.begun()
    asked.cancel()
    await asyncio.wait([asked])
    stage.release.set()
    assert (await door.get(task_id, ADA, 5))["status"] == "COMPLETED"
    assert await eventually(lambda: not tree.supervisors["system/0"].supervisor._cells, 5)


@pytest.mark.usefixtures("hasty")
async def test_all_have_an_end_when_their_supervisor_dies_meanwhile(tree, door, stage):
    asked = together(door, *(request("test.hold", str(n)) for n in range(4)), request())
    for _ in range(4):
        await stage.begun()
    await tree.supervisors["system/0"].kill()
    stage.release.set()
    answers = await asyncio.wait_for(asked, 10)
    assert [answer["status"] for answer in answers] == ["COMPLETED"] * 5
    assert len({answer["taskId"] for answer in answers}) == 5


class Narrow:
    """Takes one row at a time, and no large one."""

    def __init__(self):
        self.rows = []

    def emit(self, rows):
        if len(rows) > 1 or len(str(rows)) > 1000:
            raise ResourceLimitExceeded("too much")
        self.rows += rows


async def test_what_is_too_large_together_is_told_piece_by_piece():
    loop, call = asyncio.get_running_loop(), Narrow()
    answers = [loop.create_future() for _ in range(3)]
    waiting = iter(answers)
    entrance = Entrance(lambda *_, **__: next(waiting), Traffic("system/0", SystemClock()))
    payload = [[record(str(n)).pack() for n in range(3)], True]
    reply = entrance.begin("submit_many", payload, call)
    for answer, size in zip(answers, (1, 2000, 2), strict=True):
        answer.set_result({"text": "x" * size})
    await reply
    assert [row[:2] for row in call.rows] == [[0, True], [1, False], [2, True]]
    assert call.rows[1][2]["type"] == "ResourceLimitExceeded"


async def test_a_full_mailbox_refuses_some_and_takes_others(tree, door, stage):
    local = tree.supervisors["system/0"]
    local.supervisor.admission.limit(2, 1)
    answers = await together(door, *(request("test.hold", str(n)) for n in range(8)), wait=False)
    refused = [answer for answer in answers if isinstance(answer, Exception)]
    assert refused
    assert len(refused) < len(answers)
    assert not any(isinstance(answer, ServiceUnavailable) for answer in refused)
    stage.release.set()


def test_portions_keep_the_order_and_lose_nothing(monkeypatch):
    records = [record(str(n)) for n in range(2 * MOST + 1)]
    parts = list(portions(records))
    assert [len(part) for part in parts] == [MOST, MOST, 1]
    assert [one for part in parts for one in part] == records
    monkeypatch.setattr(bulk_module, "MOST_BYTES", 1)
    assert [len(part) for part in portions(records[:3])] == [1, 1, 1]
