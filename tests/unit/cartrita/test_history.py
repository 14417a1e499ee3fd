"""The history checker: silent about good histories, and nothing slips past it."""

import copy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.history import Sample, overspent, violations
from cartrita.journal import EventKind
from cartrita.protocol.task import TaskStatus
from cartrita.story import cursor_of, step_of
from tests.support.histories import journals, seen

COMPLETED = [TaskStatus.COMPLETED]


def answer(story):
    return story[-1]["data"]


def at(line):
    return step_of(line["cursor"])


class TestGoodHistories:
    @given(journals())
    def test_nothing_is_said_against_the_journal_or_what_clients_see_of_it(self, events):
        story = seen(events)
        task = events[0].task_id
        assert not violations(
            [events, story, story], answers=[answer(story), answer(story)], accepted=[task]
        )

    @given(st.lists(journals(), max_size=3))
    def test_histories_of_several_tasks_are_kept_apart(self, tasks):
        assert not violations([seen(events) for events in tasks])

    @given(journals(most=3), st.data())
    def test_what_a_dead_attempt_said_last_need_not_be_known_to_everybody(self, events, data):
        story = seen(events)
        retried = {line["attempt"] for line in story if line["type"] == "retry"}
        last = max((line["attempt"] or 0) for line in story)
        whole = retried | ({last} if story[-1]["type"] == "completed" else set())
        tails = [
            n
            for n, line in enumerate(story[:-1])
            if line["type"] == "token"
            and line["attempt"] not in whole
            and story[n + 1]["type"] != "token"
        ]
        less = list(story)
        for n in sorted(data.draw(st.sets(st.sampled_from(tails)) if tails else st.just(set()))):
            less[n] = None
        assert not violations([story, [line for line in less if line]])

    def test_an_answer_that_is_no_end_says_nothing(self):
        assert not violations([], answers=[{"taskId": "a", "status": "RUNNING"}])


class TestMutations:
    """A good history, changed in one place."""

    @given(journals(), st.data())
    def test_a_lost_event_is_missed(self, events, data):
        story = seen(events)
        n = data.draw(st.integers(0, len(story) - 1))
        ended = story[n + 1]["type"] if n + 1 < len(story) else ""
        said = story[n]["type"] == "token" and ended in ("reset", "failed", "cancelled", "timeout")
        less = story[:n] + story[n + 1 :]
        assert said or violations([less, events])

    @given(journals(), st.data())
    def test_a_lost_event_leaves_a_gap_if_anything_of_its_attempt_comes_later(self, events, data):
        story = seen(events)
        within = [
            n
            for n, line in enumerate(story[:-1])
            if story[n + 1]["attempt"] == line["attempt"] or line["type"] == "reset"
        ]
        n = data.draw(st.sampled_from(within))
        assert violations([story[:n] + story[n + 1 :]])

    @given(journals(), st.data())
    def test_a_repeated_event_is_noticed(self, events, data):
        story = seen(events)
        n = data.draw(st.integers(0, len(story) - 1))
        later = data.draw(st.integers(n + 1, len(story)))
        assert violations([[*story[:later], story[n], *story[later:]]])

    @given(journals(), st.data())
    def test_two_events_in_the_wrong_order_are_noticed(self, events, data):
        story = seen(events)
        one = data.draw(st.integers(0, len(story) - 2))
        other = data.draw(st.integers(one + 1, len(story) - 1))
        story[one], story[other] = story[other], story[one]
        assert violations([story])

    @given(journals(), st.data())
    def test_a_story_that_stops_short_has_no_end(self, events, data):
        story = seen(events)
        length = data.draw(st.integers(1, len(story) - 1))
        assert any("no end" in what for what in violations([story[:length]]))

    @given(journals(), st.sampled_from(["completed", "failed", "timeout"]))
    def test_a_second_end_is_noticed(self, events, kind):
        story = seen(events)
        again = {**story[-1], "type": kind}
        assert any("ends again" in what for what in violations([[*story, again]]))

    @given(journals())
    def test_something_after_the_end_is_noticed(self, events):
        story = seen(events)
        more = {**story[-1], "type": "token", "data": {"text": "and"}}
        assert any("after its end" in what for what in violations([[*story, more]]))

    @given(journals(), st.data())
    def test_a_cursor_that_is_another_is_noticed(self, events, data):
        story = seen(events)
        n = data.draw(st.integers(0, len(story) - 1))
        step = data.draw(st.integers(0, 1 << 35).filter(lambda step: step != at(story[n])))
        story[n] = {**story[n], "cursor": cursor_of(step)}
        assert violations([story])

    @given(journals(), st.data())
    def test_an_attempt_under_another_number_is_noticed(self, events, data):
        story = seen(events)
        n = data.draw(st.integers(0, len(story) - 1))
        number = data.draw(st.integers(0, 5).filter(lambda one: one != story[n]["attempt"]))
        story[n] = {**story[n], "attempt": number}
        assert any("is named" in what for what in violations([story]))

    @given(journals(), st.data())
    def test_a_type_that_cannot_be_there_is_noticed(self, events, data):
        story = seen(events)
        n = data.draw(st.integers(0, len(story) - 1))
        kinds = ["accepted", "queued", "reset", "started", "failed", "completed", "odd"]
        kind = data.draw(st.sampled_from(kinds).filter(lambda one: one != story[n]["type"]))
        story[n] = {**story[n], "type": kind}
        assert violations([story])

    @given(journals(), st.data())
    def test_words_that_two_readers_heard_differently_are_noticed(self, events, data):
        story = seen(events)
        other = copy.deepcopy(story)
        n = data.draw(st.integers(0, len(story) - 1))
        other[n]["data"] = "something else"
        assert any("in two ways" in what for what in violations([story, other]))

    @given(journals(), st.data())
    def test_two_answers_that_differ_are_noticed(self, events, data):
        story = seen(events)
        other = {**answer(story), "warnings": ["another"]}
        both = data.draw(st.permutations([answer(story), other]))
        assert any("answered" in what for what in violations([], answers=both))
        assert any("answered" in what for what in violations([story], answers=[other]))


def lines(*kinds, task="a"):
    """Return a story from `attempt.place type` words."""
    story = []
    for word in kinds:
        place, _, kind = word.partition(" ")
        attempt, _, number = place.partition(".")
        step = 1 << 62 if place == "end" else int(attempt) << 32 | int(number)
        name = None if place == "end" else int(attempt)
        story.append(
            {
                "cursor": cursor_of(step),
                "taskId": task,
                "attempt": name,
                "type": kind,
                "data": None,
                "at": "",
            }
        )
    return story


BEGUN = ("0.0 accepted", "0.1 queued", "1.1 started")


class TestWhatItSays:
    @pytest.mark.parametrize(
        ("more", "complaint"),
        [
            (("2.1 started", "end completed"), "begins attempt 2 with 'started' at 2.1"),
            (("1.2 retry", "1.3 token", "end failed"), "after the retry"),
            (("2.0 reset", "2.1 started", "1.2 token", "end failed"), "dead attempt"),
            (("2.0 reset", "end failed"), "a gap before 'failed'"),
            (("1.3 token", "end failed"), "a gap before 'token' at 1.3"),
            (("1.2 token", "1.2 token", "end failed"), "repeats 'token' at 1.2"),
            (("1.2 odd", "end failed"), "cannot be"),
            (("1.2 token",), "has no end"),
        ],
    )
    def test_it_names_what_is_wrong_and_where(self, more, complaint):
        (told,) = violations([lines(*BEGUN, *more)])
        assert told.startswith("a: ")
        assert complaint in told

    def test_attempts_that_nobody_heard_of_may_be_missing(self):
        """Their hosts were ended on purpose, or their supervisor died with them."""
        assert not violations([lines(*BEGUN, "4.0 reset", "4.1 started", "end completed")])

    def test_a_task_may_end_before_it_starts_but_not_complete(self):
        assert not violations([lines(*BEGUN[:2], "end cancelled")])
        (told,) = violations([lines(*BEGUN[:2], "end completed")])
        assert "without a start" in told

    def test_a_task_that_was_accepted_and_is_gone_is_named(self):
        assert violations([[]], accepted=["b"]) == ["b: was accepted and has no story"]

    def test_an_event_of_another_task_is_named(self):
        story = [*lines(*BEGUN), *lines("end completed", task="b")]
        assert any("an event of b" in told for told in violations([story]))

    def test_what_is_no_cursor_is_named(self):
        story = lines(*BEGUN, "end completed")
        story[2]["cursor"] = "later"
        assert any("'later' is no cursor" in told for told in violations([story]))

    def test_words_of_an_attempt_that_completed_must_be_known_to_all(self):
        whole = lines(*BEGUN, "1.2 token", "1.3 token", "end completed")
        (told,) = violations([whole, whole[:4] + whole[5:]])
        assert "'token' at 1.3" in told
        assert "missing in story 1" in told


class TestJournalRows:
    @given(journals(), st.data())
    def test_rows_out_of_order_are_noticed(self, events, data):
        n = data.draw(st.integers(1, len(events) - 1))
        events[n - 1], events[n] = events[n], events[n - 1]
        assert violations([events])

    @given(journals(statuses=COMPLETED))
    def test_a_row_of_an_older_epoch_is_noticed(self, events):
        events[-1] = replace(events[-1], epoch=0)
        assert any("of epoch 0" in told for told in violations([events]))

    @given(journals())
    def test_a_second_end_is_noticed(self, events):
        assert violations([[*events, replace(events[-1], kind=EventKind.CANCELLED)]])

    @given(journals())
    def test_a_lost_acceptance_is_noticed(self, events):
        assert any("its acceptance" in told for told in violations([events[1:]]))

    @given(journals())
    def test_an_end_that_is_not_at_the_end_is_noticed(self, events):
        odd = replace(events[-1], step=events[-1].step - 1)
        assert violations([[*events[:-1], odd]])


class TestBudgets:
    counts = st.integers(0, 10**12)

    @given(counts, counts, counts)
    def test_a_budget_that_holds_what_it_promised_is_well(self, used, reserved, more):
        samples = [
            Sample("user:a", used + reserved + more, used, reserved),
            Sample("user:b", None, used, reserved),
        ]
        assert not overspent(samples)

    @given(counts, counts, st.integers(1, 10**9))
    def test_one_that_promised_more_is_named(self, used, reserved, over):
        ceiling = used + reserved - over
        (told,) = overspent([Sample("user:a", ceiling, used, reserved)])
        assert told == f"user:a: {used} used and {reserved} reserved of {ceiling}"

    @pytest.mark.parametrize(("used", "reserved"), [(-1, 0), (0, -1)])
    def test_less_than_nothing_is_named(self, used, reserved):
        assert overspent([Sample("user:a", 10, used, reserved)])
