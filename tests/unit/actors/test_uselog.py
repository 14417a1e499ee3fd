"""What a live task used, on its way to the journal."""

import asyncio

import pytest

from actors import uselog as module
from actors.uselog import FLUSH_BYTES, UseLog
from cartrita.errors import StaleEpoch
from cartrita.journal import ATTEMPT_SHIFT, USED_PLACE, EventKind
from tests.support.processes import eventually


class Journal:
    """Takes events; with an `error` it refuses them."""

    def __init__(self):
        self.events, self.error = [], None

    def append(self, event):
        future = asyncio.get_running_loop().create_future()
        self.events.append(event)
        if self.error:
            future.set_exception(self.error)
        else:
            future.set_result(True)
        return future


@pytest.fixture
def journal():
    return Journal()


@pytest.fixture
async def log(journal):
    one = UseLog("t", journal.append, lambda: 7.0)
    yield one
    one.flush()


async def test_uses_are_written_together_when_the_attempt_ends(journal, log):
    log.add(1, ["model", "a"])
    log.add(1, ["tool", "b"])
    assert journal.events == []
    log.flush()
    (event,) = journal.events
    assert event.kind is EventKind.USED
    assert event.step == 1 << ATTEMPT_SHIFT | USED_PLACE
    assert event.data == [[7.0, "model", "a"], [7.0, "tool", "b"]]


async def test_uses_of_a_long_attempt_are_written_in_its_course(journal, log, monkeypatch):
    monkeypatch.setattr(module, "FLUSH_AFTER", 0.001)
    log.add(1, ["model", "a"])
    assert await eventually(lambda: journal.events, 5)


async def test_many_are_written_at_once(journal, log):
    log.add(1, ["tool", "x" * FLUSH_BYTES])
    assert len(journal.events) == 1


async def test_every_row_has_a_place_of_its_own(journal, log):
    for attempt in (1, 1, 2):
        log.add(attempt, ["model", "a"])
        log.flush()
    steps = [event.step for event in journal.events]
    first, second = 1 << ATTEMPT_SHIFT, 2 << ATTEMPT_SHIFT
    assert steps == [first | USED_PLACE, first | USED_PLACE + 1, second | USED_PLACE]


async def test_nothing_is_written_when_nothing_was_used(journal, log):
    log.flush()
    log.add(1, ["model", "a"])
    log.flush()
    log.flush()
    assert len(journal.events) == 1


async def test_a_fenced_writer_s_refusal_is_nobody_s_trouble(journal, log):
    """Warnings are errors here: a failure that nobody looked at would be one."""
    journal.error = StaleEpoch("over")
    log.add(1, ["model", "a"])
    log.flush()
    await asyncio.sleep(0)
