"""What a task's events add up to."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.channel.frames import pack, unpack
from cartrita.cost.price import nano
from cartrita.journal import END_OF, USED_PLACE, Event, EventKind, Settlement, TaskRecord, fold
from cartrita.protocol.carrier import Carrier
from cartrita.protocol.principal import Principal, Role
from cartrita.protocol.task import Delivery, TaskStatus
from tests.support.records import end, record, response, retried, started

FULL = record(
    principal=Principal("u", "w", Role.ADMIN, ("tasks:a.*", "agents:read")),
    priority=9,
    delivery=Delivery.EXACTLY_ONCE,
    max_attempts=7,
    session_id="s",
    tree="t",
    preferred_agent="poet",
    preferences={"quality_level": "best"},
    metadata={"k": "v"},
    trace="00-aa-bb-01",
    idempotency_key="key",
    reserve_nano=5,
    reserve_tokens=6,
    max_usd=0.5,
    max_tokens=7,
    parent="0192a000-0000-7000-8000-000000000001",
    depth=2,
    retry_of="0192a000-0000-7000-8000-000000000002",
    root="0192a000-0000-7000-8000-000000000003",
    carrier=Carrier("external.system.call", "weather", 3, True),
)
ENDS = st.sampled_from(sorted(END_OF))


def accepted(task):
    return Event(task.task_id, 0, EventKind.ACCEPTED, task.to_wire(), shard="system/0")


@pytest.mark.parametrize("task", [record(), FULL], ids=["plain", "full"])
def test_a_record_reads_back_as_it_was_written(task):
    assert TaskRecord.from_wire(unpack(pack(task.to_wire()))) == task


def test_a_record_of_an_older_version_gets_the_defaults_of_what_it_lacks():
    older = replace(FULL, parent=None, depth=0, retry_of=None, root=None, carrier=None, tree=None)
    assert TaskRecord.from_wire(FULL.to_wire()[:-6]) == older


class TestOrder:
    def test_acceptance_comes_first_attempts_in_their_order_and_the_end_last(self):
        task = record()
        story = [accepted(task)]
        for attempt in (1, 2, 3, 1_000_000):
            story += [started(task, attempt), retried(task, attempt)]
        story.append(end(task))
        steps = [event.step for event in story]
        assert steps == sorted(set(steps))
        assert steps[-1] < 2**63  # a bigint

    def test_every_end_has_the_same_place_so_that_there_is_only_one(self):
        task = record()
        assert len({end(task, status).step for status in END_OF}) == 1

    def test_only_ends_are_terminal(self):
        assert {kind for kind in EventKind if kind.terminal} == set(END_OF.values())
        assert {status for status in TaskStatus if status.terminal} == set(END_OF)


class TestFold:
    def test_no_story_is_no_task(self):
        assert fold([]) is None

    def test_a_story_without_its_beginning_is_no_task(self):
        task = record()
        assert fold([started(task), end(task)]) is None

    def test_an_accepted_task_waits(self):
        state = fold([accepted(FULL)])
        assert state.record == FULL
        assert state.shard == "system/0"
        assert (state.status, state.attempts, state.response) == (TaskStatus.PENDING, 0, None)

    def test_a_started_task_runs_its_attempt(self):
        task = record()
        state = fold([accepted(task), started(task)])
        assert (state.status, state.attempts) == (TaskStatus.RUNNING, 1)

    def test_a_lost_attempt_counts_and_the_task_waits_again(self):
        task = record()
        state = fold([accepted(task), started(task), retried(task)])
        assert (state.status, state.attempts) == (TaskStatus.PENDING, 1)

    def test_attempts_whose_start_was_not_written_count_when_they_are_lost(self):
        task = record()
        state = fold([accepted(task), retried(task, 1), retried(task, 2)])
        assert (state.status, state.attempts) == (TaskStatus.PENDING, 2)

    def test_each_death_of_a_host_is_told_and_whether_the_task_was_alone(self):
        task = record()
        losses = [
            Event.within(task.task_id, attempt, 2, EventKind.RETRY, data)
            for attempt, data in enumerate([{"solo": False}, {"solo": True}, None, {}], 1)
        ]
        state = fold([accepted(task), *losses])
        assert state.deaths == (False, True, False, False)
        assert state.attempts == 4

    def test_what_lost_attempts_used_counts_once_however_it_was_told(self):
        task = record()
        use = {"model": "a", "tokensIn": 3, "tokensOut": 4, "nanoUsd": 5}
        rows = [[0.0, "model", use], [0.0, "tool", {}], [0.0, "model", use]]
        told = {"errorCode": "NETWORK_ERROR", "costUsd": 1e-8, "tokensUsed": 14}
        state = fold(
            [
                accepted(task),
                Event.within(task.task_id, 1, USED_PLACE, EventKind.USED, rows),
                Event.within(task.task_id, 1, USED_PLACE + 1, EventKind.RETRY, told),
                Event.within(task.task_id, 2, USED_PLACE, EventKind.USED, rows),
                Event.within(task.task_id, 2, USED_PLACE + 1, EventKind.RETRY, {"solo": True}),
                Event.within(task.task_id, 3, USED_PLACE, EventKind.USED, rows[:1]),
            ]
        )
        assert (nano(state.spent[0]), state.spent[1]) == (25, 35)

    def test_what_an_agent_said_proves_its_attempt_and_changes_no_status(self):
        task = record()
        said = Event.within(task.task_id, 2, 7, EventKind.STREAM, [[1, "token", 0.0, {}]])
        state = fold([accepted(task), retried(task), said])
        assert (state.status, state.attempts, state.deaths) == (TaskStatus.PENDING, 2, (False,))

    @given(ENDS, st.integers(0, 5))
    def test_an_ended_task_has_its_response_and_its_attempts(self, status, attempts):
        task = record()
        tries = [
            event for n in range(1, attempts + 1) for event in (started(task, n), retried(task, n))
        ]
        last = end(task, status, result={"a": 1})
        state = fold([accepted(task), *tries, last])
        assert (state.status, state.attempts) == (status, attempts)
        assert state.response == last.data


class TestSettlement:
    def test_it_is_what_the_response_says(self):
        told = response(record(), metrics={"costUsd": 0.25, "tokensUsed": 12})
        assert Settlement.of(told) == Settlement(250_000_000, 12)

    @pytest.mark.parametrize("told", [{}, {"metrics": None}, {"metrics": {}}])
    def test_a_response_without_metrics_used_nothing(self, told):
        assert Settlement.of(told) == Settlement(0, 0)

    @given(st.decimals(0, 10**9, places=12))
    def test_money_is_rounded_up_by_less_than_a_billionth(self, usd):
        exact = usd * 10**9
        assert exact <= nano(usd) < exact + 1

    @given(st.integers(0, 10**18))
    def test_whole_billionths_are_exact(self, count):
        assert nano(Decimal(count) / 10**9) == count
