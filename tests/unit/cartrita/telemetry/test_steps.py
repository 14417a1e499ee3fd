"""Counting in memory, and writing in steps."""

import threading

from cartrita.telemetry.steps import Steps, in_steps
from tests.support.processes import eventually


class Written:
    """The library's value, whose writes are to be few."""

    def __init__(self, value=0.0):
        self.value, self.at, self.writes = value, None, 0

    def get(self):
        return self.value

    def set(self, value, timestamp=None):
        self.value, self.at = value, timestamp
        self.writes += 1


def value(steps, begins=0.0):
    written = Written(begins)
    return in_steps(lambda: written, steps)(), written


def test_many_counts_are_one_write():
    steps = Steps(every=3600)
    counter, written = value(steps)
    for _ in range(100):
        counter.inc(2)
    assert (counter.get(), written.value) == (200, 0)
    steps.write()
    steps.write()
    assert (written.value, written.writes) == (200, 1)


async def test_they_are_written_without_being_asked_for():
    steps = Steps(every=0.01)
    counter, written = value(steps)
    for total in (1, 2):
        counter.inc(1)
        assert await eventually(lambda total=total: written.value == total, 5)


def test_it_goes_on_from_what_was_written_before():
    steps = Steps(every=3600)
    counter, written = value(steps, begins=5.0)
    counter.inc(1)
    steps.write()
    assert written.value == 6


def test_a_reading_is_the_last_one_with_its_time():
    steps = Steps(every=3600)
    gauge, written = value(steps)
    gauge.inc(3)
    gauge.set(7.0, timestamp=12.0)
    steps.write()
    assert (written.value, written.at, written.writes) == (7.0, 12.0, 1)


def test_nothing_is_lost_between_threads():
    steps = Steps(every=0.001)
    counter, written = value(steps)

    def count():
        for _ in range(5000):
            counter.inc(1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    steps.write()
    assert written.value == 20_000
