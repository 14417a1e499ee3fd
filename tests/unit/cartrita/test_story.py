"""A task's log: its order, its cursors, and how it is told from the journal."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.errors import InvalidParameters
from cartrita.journal import ATTEMPT_SHIFT, END_STEP, USED_PLACE, Event, EventKind
from cartrita.protocol.task import TaskStatus
from cartrita.story import Entry, cursor_at, cursor_of, narrate, opening, place_of, step_of, to_wire
from tests.support.records import record, response

STEPS = st.integers(0, END_STEP)


def at(attempt, place):
    return attempt << ATTEMPT_SHIFT | place


def accepted(task):
    return Event(task.task_id, 0, EventKind.ACCEPTED, task.to_wire(), at=1.0)


def started(task, attempt):
    return Event.within(task.task_id, attempt, 1, EventKind.STARTED)


def said(task, attempt, first, *texts):
    rows = [[at(attempt, first + n), "token", 2.0, text] for n, text in enumerate(texts)]
    return Event(task.task_id, rows[0][0], EventKind.STREAM, rows)


def lost(task, attempt, place=2, solo=False):
    return Event.within(task.task_id, attempt, place, EventKind.RETRY, {"solo": solo})


def ended(task, attempts=1, took=5.0, status=TaskStatus.COMPLETED):
    metrics = {"retryCount": attempts - 1, "processingTimeMs": took}
    return Event.end(task.task_id, status, response(task, status, metrics=metrics))


def types(story, after=-1):
    return [entry.type for entry in narrate(story, after)]


class TestCursor:
    @given(STEPS)
    def test_it_names_its_step(self, step):
        assert step_of(cursor_of(step)) == step

    @given(STEPS, STEPS)
    def test_it_sorts_as_its_step_does(self, one, other):
        assert (cursor_of(one) < cursor_of(other)) == (one < other)

    def test_without_one_a_reader_begins_at_the_beginning(self):
        assert step_of(None) < 0

    @pytest.mark.parametrize(
        "text", ["", "0", "f" * 16, "g" * 16, "0" * 17, f"{END_STEP + 1:016x}"]
    )
    def test_what_is_none_is_refused(self, text):
        with pytest.raises(InvalidParameters) as refused:
            step_of(text)
        assert refused.value.fields[0].field == "cursor"


class TestNarration:
    def test_an_accepted_task_waits_in_a_queue(self):
        assert narrate([accepted(record())]) == opening(1.0)

    def test_a_task_without_a_story_has_no_log(self):
        assert narrate([]) == []

    def test_a_quick_task_was_started_though_nobody_wrote_that_down(self):
        task = record()
        assert types([accepted(task), ended(task)]) == [
            "accepted",
            "queued",
            "started",
            "completed",
        ]

    @pytest.mark.parametrize(("took", "began"), [(2000.0, 8.0), (9500.0, 1.0)])
    def test_it_was_started_as_long_before_its_end_as_it_took_but_not_before_it_came(
        self, took, began
    ):
        task = record()
        _, _, start, _ = narrate([accepted(task), replace(ended(task, took=took), at=10.0)])
        assert (start.type, start.at) == ("started", began)

    def test_or_as_long_before_its_first_use_of_a_model_as_that_took(self):
        task = record()
        rows = [[7.0, "model", {"durationMs": 1500.0}], [9.0, "cut", None]]
        used = Event.within(task.task_id, 1, USED_PLACE, EventKind.USED, rows)
        assert narrate([accepted(task), used])[-1].at == 5.5

    @pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "TIMEOUT"])
    def test_a_task_that_ended_in_the_queue_was_not_started(self, status):
        task = record()
        story = [accepted(task), ended(task, took=0, status=TaskStatus(status))]
        assert types(story) == ["accepted", "queued", status.lower()]

    def test_a_new_attempt_begins_with_a_reset(self):
        task = record()
        story = [accepted(task), lost(task, 1), started(task, 2), ended(task, attempts=2)]
        expected = ["accepted", "queued", "started", "retry", "reset", "started", "completed"]
        assert types(story) == expected

    def test_it_is_the_same_whether_or_not_the_start_was_written_down(self):
        task = record()
        ends = lost(task, 1, place=5), ended(task, attempts=2)
        bare = [accepted(task), *ends]
        full = [accepted(task), started(task, 1), ends[0], started(task, 2), ends[1]]
        assert [e.step for e in narrate(bare)] == [e.step for e in narrate(full)]
        assert types(bare) == types(full)

    def test_what_an_agent_said_is_told_piece_by_piece(self):
        task = record()
        story = [accepted(task), started(task, 1), said(task, 1, 2, "a", "b"), ended(task)]
        entries = narrate(story)
        assert [entry.step for entry in entries] == [0, 1, at(1, 1), at(1, 2), at(1, 3), END_STEP]
        assert [entry.data for entry in entries[3:5]] == ["a", "b"]

    def test_what_an_attempt_used_is_not_told_but_proves_that_it_began(self):
        task = record()
        used = Event.within(task.task_id, 1, USED_PLACE, EventKind.USED, [[1.0, "model", {}]])
        assert types([accepted(task), used]) == ["accepted", "queued", "started"]
        story = [accepted(task), started(task, 1), said(task, 1, 2, "a"), used, lost(task, 2)]
        plain = [event for event in story if event is not used]
        assert narrate(story) == narrate(plain)

    def test_the_steps_grow(self):
        task = record()
        story = [
            accepted(task),
            started(task, 1),
            said(task, 1, 2, *"abc"),
            said(task, 1, 5, *"de"),
            lost(task, 1, place=7),
            started(task, 2),
            said(task, 2, 2, *"abc"),
            ended(task, attempts=2),
        ]
        steps = [entry.step for entry in narrate(story)]
        assert steps == sorted(set(steps))

    @given(st.data())
    def test_from_any_cursor_the_rest_is_told_even_from_a_part_of_the_story(self, data):
        """The journal leaves out what is told wholly before a cursor."""
        task = record()
        story = [
            accepted(task),
            started(task, 1),
            said(task, 1, 2, *"abcd"),
            lost(task, 1, place=6),
            said(task, 2, 2, *"ab"),
            ended(task, attempts=2),
        ]
        whole = narrate(story)
        step = data.draw(st.sampled_from([entry.step for entry in whole]))
        cut = max(n for n, event in enumerate(story) if event.step <= step)
        rest = [entry for entry in whole if entry.step > step]
        assert narrate(story[cut:], step) == narrate(story, step) == rest


def test_on_the_wire_an_end_belongs_to_no_attempt():
    task = record()
    first, last = Entry(at(3, 7), "token", 1.0, "x"), Entry(END_STEP, "completed", 1.0, {})
    assert to_wire(task.task_id, first, "then") == {
        "cursor": cursor_of(first.step),
        "taskId": task.task_id,
        "attempt": 3,
        "type": "token",
        "at": "then",
        "data": "x",
    }
    assert to_wire(task.task_id, last, "then")["attempt"] is None


class TestPlaces:
    """How people read and write cursors."""

    @given(STEPS)
    def test_a_place_names_its_cursor(self, step):
        assert cursor_at(place_of(cursor_of(step))) == cursor_of(step)

    @pytest.mark.parametrize(
        ("step", "place"), [(0, "0.0"), (1, "0.1"), (at(2, 13), "2.13"), (END_STEP, "end")]
    )
    def test_it_is_the_attempt_and_the_place_in_it(self, step, place):
        assert place_of(cursor_of(step)) == place

    @pytest.mark.parametrize(
        "text", ["", "1", "1.", ".1", "1.x", "later", "²" + ".1", "1.1.1", "9" * 11 + ".1"]
    )
    def test_what_is_none_is_left_for_the_server_to_refuse(self, text):
        assert cursor_at(text) == text

    def test_a_cursor_is_one_already(self):
        assert cursor_at(cursor_of(at(1, 2))) == cursor_of(at(1, 2))
