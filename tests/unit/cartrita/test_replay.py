"""A story rebuilt from the journal's rows, whole and up to a step."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.effects import State
from cartrita.errors import InternalFailure
from cartrita.journal import (
    ATTEMPT_SHIFT,
    END_STEP,
    USED_PLACE,
    Event,
    EventKind,
    Relative,
    Settlement,
)
from cartrita.ledger import EffectRow
from cartrita.protocol.task import TaskStatus
from cartrita.replay import Beside, retell
from cartrita.story import cursor_of, narrate, step_of
from tests.support.histories import journals
from tests.support.records import NOW, end, record

NOTHING = Beside()


def at(attempt, place):
    return attempt << ATTEMPT_SHIFT | place


def row(task, attempt, place, kind, data=None, after=0.0):
    return replace(Event.within(task.task_id, attempt, place, kind, data), at=NOW + after)


def model(after, name="m", nano=1000, tokens=(3, 4), failed=False):
    data = {"model": name, "tokensIn": tokens[0], "tokensOut": tokens[1], "nanoUsd": nano}
    return [NOW + after, "model", {**data, "durationMs": 5.0, "failed": failed}]


def tool(after, name="t"):
    data = {"name": name, "input": {"a": 1}, "output": "b", "durationMs": 2.0, "failed": False}
    return [NOW + after, "tool", data]


def ended(task, after, status=TaskStatus.COMPLETED, **metrics):
    metrics = {"costUsd": 0.0, "tokensUsed": 0, "processingTimeMs": 1.0, **metrics}
    return replace(end(task, status, metrics=metrics), at=NOW + after)


@pytest.fixture
def task():
    return record(max_usd=0.5, reserve_nano=2_000_000_000, metadata={"a": "b"})


@pytest.fixture
def rows(task):
    """Give a task that was lost once, and used something in both attempts."""
    lost = row(task, 1, 4, EventKind.RETRY, {"solo": False}, 3.0)
    said = [[at(1, 2), "token", NOW + 1.5, {"text": "a"}]]
    said += [[at(1, 3), "tool", NOW + 1.6, {"name": "shown", "input": 1, "output": {"b": 2}}]]
    return [
        Event(task.task_id, 0, EventKind.ACCEPTED, task.to_wire(), NOW, "system/0", 1),
        row(task, 1, 1, EventKind.STARTED, None, 1.0),
        row(task, 1, 2, EventKind.STREAM, said, 1.6),
        lost,
        row(task, 1, USED_PLACE, EventKind.USED, [model(2.0, "first", 5000), tool(2.5)]),
        row(task, 2, 1, EventKind.STARTED, None, 4.0),
        row(task, 2, USED_PLACE, EventKind.USED, [model(5.0, "second", 7000)]),
        ended(task, 6.0, costUsd=0.000107, tokensUsed=7, retryCount=1),
    ]


def relative(task_id, parent, after, took=None, **changes):
    fields = {
        "task_type": "test.echo",
        "status": TaskStatus.COMPLETED if took is not None else TaskStatus.PENDING,
        "accepted_at": NOW + after,
        "finished_at": None if took is None else NOW + after + took,
        "used": Settlement(3000, 2),
    }
    return Relative(task_id, parent, **(fields | changes))


def effect(key, after, took=None):
    state = State.BEGUN if took is None else State.DONE
    ended = None if took is None else NOW + after + took
    who, name = ("ada", "ada"), "email"
    result = None if took is None else {"receipt": 7}
    return EffectRow("e", "t", "x", *who, name, key, 1, state, result, NOW + after, ended, "probe")


class TestWhole:
    def test_it_tells_what_was_asked_for(self, task, rows):
        story = retell(rows, NOTHING)
        assert (story["taskId"], story["taskType"]) == (task.task_id, "test.echo")
        assert (story["status"], story["shard"]) == ("COMPLETED", "system/0")
        asked = story["accepted"]
        assert (asked["user"], asked["tenant"], asked["parameters"]) == ("ada", "ada", task.params)
        assert asked["budget"] == {"maxUsd": 0.5, "maxTokens": None}
        assert asked["reserved"] == {"usd": 2.0, "tokens": 0}
        assert asked["deadline"] == "2023-11-14T22:14:20.000+00:00"
        assert asked["metadata"] == {"a": "b"}

    def test_every_event_has_its_time_since_acceptance(self, rows):
        events = retell(rows, NOTHING)["events"]
        assert [(event["type"], event["afterMs"]) for event in events] == [
            ("accepted", 0.0),
            ("queued", 0.0),
            ("started", 1000.0),
            ("token", 1500.0),
            ("tool", 1600.0),
            ("retry", 3000.0),
            ("reset", 4000.0),
            ("started", 4000.0),
            ("completed", 6000.0),
        ]

    def test_attempts_and_deaths_are_told(self, rows):
        first, second = retell(rows, NOTHING)["attempts"]
        assert (first["attempt"], first["outcome"], first["alone"]) == (1, "lost", False)
        assert (first["afterMs"], first["endedAt"]) == (1000.0, "2023-11-14T22:13:23.000+00:00")
        assert (second["outcome"], second["alone"], second["afterMs"]) == ("completed", None, 4000)

    def test_models_are_told_with_what_the_task_had_cost_by_then(self, rows):
        first, second = retell(rows, NOTHING)["modelCalls"]
        assert (first["attempt"], first["afterMs"], first["model"]) == (1, 2000.0, "first")
        assert [call["costUsd"] for call in (first, second)] == [0.000005, 0.000007]
        assert [call["totalUsd"] for call in (first, second)] == [0.000005, 0.000012]

    def test_tools_are_told_that_were_noted_and_that_were_shown(self, rows):
        shown, noted = retell(rows, NOTHING)["toolCalls"]
        assert (shown["name"], shown["output"], shown["shown"]) == ("shown", {"b": 2}, True)
        assert (noted["name"], noted["durationMs"], noted["shown"]) == ("t", 2.0, False)

    def test_a_run_that_was_noted_and_shown_is_told_once(self, task, rows):
        both = {"name": "t", "input": {"a": 1}, "output": "b"}
        said = [[at(2, number), "tool", NOW + 5.1, both] for number in (2, 3)]
        rows[5:5] = [row(task, 2, 2, EventKind.STREAM, said, 5.1)]
        rows[-2].data.append(tool(5.0))
        told = retell(rows, NOTHING)["toolCalls"][2:]
        assert [(one["attempt"], one["shown"], one["durationMs"]) for one in told] == [
            (2, True, 2.0), (2, True, None),  # another run, which was only shown
        ]  # fmt: skip

    def test_costs_are_told_by_what_they_were_for(self, rows):
        family = [relative("c", rows[0].task_id, 1.0, 2.0)]
        assert retell(rows, Beside(family))["costs"] == {
            "usd": 0.000107,
            "modelsUsd": 0.000007,
            "flatUsd": 0.000095,
            "lostUsd": 0.000005,
            "childrenUsd": 0.000003,
            "totalUsd": 0.00011,
            "tokens": 7,
            "childrenTokens": 2,
        }

    def test_what_a_failed_attempt_used_is_charged_though_another_one_followed(self, task, rows):
        data = {"errorCode": "NETWORK_ERROR", "costUsd": 0.000005, "tokensUsed": 7}
        rows[3] = row(task, 1, 4, EventKind.RETRY, data, 3.0)
        story = retell(rows, NOTHING)
        first, _ = story["attempts"]
        assert (first["outcome"], first["errorCode"], first["alone"]) == (
            "failed",
            "NETWORK_ERROR",
            None,
        )
        assert (story["costs"]["modelsUsd"], story["costs"]["lostUsd"]) == (0.000012, 0.0)

    def test_of_a_quick_task_the_start_is_told_from_how_long_it_took(self, task, rows):
        (attempt,) = retell([rows[0], ended(task, 6.0, processingTimeMs=250.0)], NOTHING)[
            "attempts"
        ]
        assert (attempt["afterMs"], attempt["outcome"]) == (5750.0, "completed")

    def test_of_one_that_never_started_there_is_no_attempt(self, task, rows):
        never = ended(task, 6.0, TaskStatus.TIMEOUT, processingTimeMs=0.0)
        assert retell([rows[0], never], NOTHING)["attempts"] == []

    def test_one_that_runs_has_cost_what_it_used_so_far(self, rows):
        story = retell(rows[:-1], NOTHING)
        assert (story["status"], story["response"]) == ("RUNNING", None)
        assert (story["costs"]["usd"], story["costs"]["tokens"]) == (0.000012, 14)
        assert story["attempts"][-1]["outcome"] == "running"

    def test_uses_that_were_too_many_are_told_of(self, task, rows):
        rows[-2] = row(task, 2, USED_PLACE, EventKind.USED, [model(5.0), [NOW + 5, "cut", None]])
        assert retell(rows, NOTHING)["usesCut"]

    def test_effects_are_told_with_who_decided_about_them(self, rows):
        done, begun = retell(rows, Beside(effects=[effect("a", 1.0, 0.5), effect("b", 2.0)]))[
            "effects"
        ]
        assert (done["name"], done["state"], done["settledBy"]) == ("email", "done", "probe")
        assert (done["afterMs"], done["endedAt"]) == (1000.0, "2023-11-14T22:13:21.500+00:00")
        assert (begun["state"], begun["endedAt"], begun["settledBy"]) == ("begun", None, None)
        assert "effects" not in retell(rows, NOTHING)

    def test_a_story_without_a_beginning_is_none(self, rows):
        with pytest.raises(InternalFailure):
            retell(rows[1:], NOTHING)


class TestFamily:
    def test_sub_tasks_stand_below_who_called_for_them(self, task, rows):
        family = [
            relative("b", task.task_id, 2.0, 1.0),
            relative("c", "a", 1.5, 0.1, status=TaskStatus.FAILED, error_code="AGENT_ERROR"),
            relative("a", task.task_id, 1.0),
        ]
        one, other = retell(rows, Beside(family, family_cut=True))["children"]
        assert (one["taskId"], one["status"], one["endedAt"]) == ("a", "PENDING", None)
        assert (other["taskId"], other["durationMs"], other["costUsd"]) == ("b", 1000.0, 0.000003)
        (below,) = one["children"]
        assert (below["status"], below["errorCode"]) == ("FAILED", "AGENT_ERROR")
        assert "reason" not in below

    def test_whose_parent_is_unknown_is_left_out(self, task, rows):
        assert retell(rows, Beside([relative("c", "nobody", 1.0)]))["children"] == []


class TestUntil:
    """How a task stood when a step had been told, and before anything else happened."""

    def test_nothing_later_is_told(self, rows):
        story = retell(rows, NOTHING, at(1, 4))
        assert story["until"] == cursor_of(at(1, 4))
        assert [event["type"] for event in story["events"]][-1] == "retry"
        assert (story["status"], story["response"]) == ("PENDING", None)
        assert [call["model"] for call in story["modelCalls"]] == ["first"]
        assert [one["outcome"] for one in story["attempts"]] == ["lost"]
        assert story["costs"]["totalUsd"] == 0.000005

    def test_within_an_attempt_uses_are_told_by_their_time(self, rows):
        assert retell(rows, NOTHING, at(1, 2))["modelCalls"] == []
        assert len(retell(rows, NOTHING, at(1, 3))["modelCalls"]) == 1
        assert len(retell(rows, NOTHING, at(2, 1))["modelCalls"]) == 2

    @pytest.mark.parametrize(
        ("step", "status"),
        [(0, "PENDING"), (at(1, 1), "RUNNING"), (at(1, 3), "RUNNING"), (at(2, 0), "PENDING")],
    )
    def test_the_status_is_that_of_the_moment(self, rows, step, status):
        assert retell(rows, NOTHING, step)["status"] == status

    def test_sub_tasks_and_effects_are_those_of_the_moment(self, task, rows):
        family = [
            relative("ended", task.task_id, 1.1, 1.0),
            relative("runs", task.task_id, 1.2, 4.0),
            relative("later", task.task_id, 4.5, 0.1),
        ]
        effects = [effect("a", 1.0, 0.5), effect("b", 2.0, 3.0), effect("c", 5.0, 0.1)]
        story = retell(rows, Beside(family, effects=effects), at(1, 4))
        told = [(one["taskId"], one["status"], one["costUsd"]) for one in story["children"]]
        assert told == [("ended", "COMPLETED", 0.000003), ("runs", "RUNNING", 0.0)]
        told = [(one["key"], one["state"], one["result"]) for one in story["effects"]]
        assert told == [("a", "done", {"receipt": 7}), ("b", "begun", None)]

    def test_before_the_start_there_is_nothing_beside(self, task, rows):
        beside = Beside([relative("c", task.task_id, 0.0, 0.0)], effects=[effect("a", 0.0, 0.0)])
        story = retell(rows, beside, 1)
        assert story["children"] == story["modelCalls"] == story["attempts"] == []
        assert "effects" not in story

    @given(journals())
    def test_up_to_the_end_it_is_the_whole_story(self, events):
        whole, upto = retell(events, NOTHING), retell(events, NOTHING, END_STEP)
        assert upto == {**whole, "until": cursor_of(END_STEP)}

    @given(journals(), st.data())
    def test_it_is_what_would_have_been_told_then(self, events, data):
        """Nothing of what comes later shows, whatever comes."""
        step = data.draw(st.sampled_from([entry.step for entry in narrate(events)]))
        story = retell(events, NOTHING, step)
        assert [step_of(event["cursor"]) for event in story["events"]] == [
            entry.step for entry in narrate(events) if entry.step <= step
        ]
        assert (story["response"] is not None) == (step == END_STEP)
