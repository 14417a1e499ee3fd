"""A seed is a bug report: it must come out the same every time, and it must find bugs."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from actors.cell import Cell
from actors.effects import Effects
from actors.supervisor import Supervisor
from actors.tasklog import TaskLog
from cartrita.effects import Finding, State
from cartrita.storage.memory_effects import InMemoryLedger
from tests.simulator.scenario import Scenario
from tests.simulator.simulation import simulate

BUSY = next(s for s in range(100) if len({f.kind for f in Scenario.of(s).faults}) > 3)
"""A seed with trouble of many kinds."""


def test_a_seed_comes_out_the_same_twice():
    first, second = simulate(BUSY, verbose=True), simulate(BUSY, verbose=True)
    assert first.lines == second.lines
    assert first.digest == second.digest
    assert first.elapsed == second.elapsed


def test_a_seed_comes_out_the_same_in_another_process():
    """There, text has other hashes and everything lies elsewhere in memory."""
    script = f"from tests.simulator.simulation import simulate; print(simulate({BUSY}).digest)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == simulate(BUSY).digest


def test_two_seeds_come_out_differently():
    assert simulate(BUSY).digest != simulate(BUSY + 1).digest


def test_what_other_seeds_ran_before_does_not_matter():
    alone = simulate(BUSY).digest
    simulate(BUSY + 1)
    assert simulate(BUSY).digest == alone


REPEATS_EVERYTHING = property(lambda _: True)
"""Whatever a dead host had may run again, also what may run once only."""


async def forgets_what_was_accepted(self, states):
    """Take up nothing after a restart."""


def answers_too_early(self, cell, end, done, finished=Supervisor._finished):
    """Answer otherwise than the journal has it."""
    finished(self, cell, replace(end, data={**end.data, "status": "COMPLETED"}), done)


def writes_nothing_down(self):
    """Show what is said and never give it to the journal."""
    self._unspilled.clear()


def begins_what_was_begun_before(self, intent, begin=InMemoryLedger._begin):
    """Let every attempt act, as long as the effect is not known to be done."""
    found = begin(self, intent)
    return Finding(State.BEGUN) if found.state is State.UNKNOWN else found


def forgets_what_was_under_way(self, cell):
    """Do as if attempts that are over had ended what they had begun."""


@pytest.mark.parametrize(
    ("owner", "name", "planted", "complaint"),
    [
        (TaskLog, "spill", writes_nothing_down, "missing in story"),
        (Cell, "repeatable", REPEATS_EVERYTHING, "times at most once"),
        (Supervisor, "_recover", forgets_what_was_accepted, "no end"),
        (Supervisor, "_finished", answers_too_early, "answered otherwise"),
        (InMemoryLedger, "_begin", begins_what_was_begun_before, "happened 2 times"),
        (Effects, "over", forgets_what_was_under_way, "nobody was told of the doubt"),
    ],
)
def test_finds_a_bug_that_was_planted(monkeypatch, owner, name, planted, complaint):
    monkeypatch.setattr(owner, name, planted)
    outcomes = (simulate(seed) for seed in range(200))
    assert any(complaint in told for outcome in outcomes for told in outcome.wrong)
