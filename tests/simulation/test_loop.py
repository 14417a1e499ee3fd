"""Virtual time, and processes that die, stop and go on."""

import asyncio

import pytest

from tests.simulator import loop as loops
from tests.simulator.loop import Process, SimulationLoop, Stuck


@pytest.fixture
def loop():
    made = SimulationLoop(1, limit=100_000.0)
    yield made
    made.close()


def test_an_hour_passes_in_no_time(loop):
    async def wait():
        await asyncio.sleep(3600)
        return loop.time()

    assert 3600 <= loops.run(loop, wait()) < 3600.001


def test_timers_come_in_the_order_of_their_times(loop):
    came = []

    async def wait():
        for seconds in (0.3, 0.1, 0.2):
            loop.call_later(seconds, came.append, seconds)
        await asyncio.sleep(1)

    loops.run(loop, wait())
    assert came == [0.1, 0.2, 0.3]


def test_the_seed_decides_between_timers_of_one_instant():
    def order(seed):
        came, loop = [], SimulationLoop(seed)

        async def wait():
            for number in range(8):
                loop.call_later(1.0, came.append, number)
            await asyncio.sleep(2)

        loops.run(loop, wait())
        loop.close()
        return tuple(came)

    assert order(1) == order(1)
    assert len({order(seed) for seed in range(5)}) > 1


def test_nothing_of_a_killed_process_runs_not_even_its_last_words(loop):
    process, said = Process(loop, "one", 1), []

    async def work():
        try:
            await asyncio.sleep(1)
            said.append("done")
        finally:
            said.append("finally")

    async def watch():
        process.start(work())
        await asyncio.sleep(0.5)
        process.kill()
        await asyncio.sleep(5)
        assert said == []

    loops.run(loop, watch())
    process.bury()


def test_what_a_process_starts_dies_with_it(loop):
    process, ticks = Process(loop, "one", 1), []

    async def tick():
        while True:
            await asyncio.sleep(1)
            ticks.append(loop.time())

    async def work():
        child = asyncio.create_task(tick())
        await asyncio.shield(child)

    async def watch():
        process.start(work())
        await asyncio.sleep(3.5)
        process.kill()
        await asyncio.sleep(5)

    loops.run(loop, watch())
    process.bury()
    assert len(ticks) == 3


def test_a_stopped_process_goes_on_where_it_was(loop):
    process, came = Process(loop, "one", 1), []

    async def work():
        await asyncio.sleep(1)
        came.append(loop.time())

    async def watch():
        process.start(work())
        await asyncio.sleep(0.5)
        process.stop()
        await asyncio.sleep(5)
        assert came == []
        process.resume()
        await asyncio.sleep(0.001)

    loops.run(loop, watch())
    assert came
    assert came[0] > 5


def test_a_wait_that_cannot_end_is_an_error(loop):
    async def wait():
        await loop.create_future()

    with pytest.raises(Stuck, match="Nothing is left"):
        loops.run(loop, wait())


def test_spinning_is_an_error(loop):
    async def spin():
        while True:  # noqa: ASYNC110 - that is the defect
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="spins"):
        loops.run(loop, spin())


def test_time_without_an_end_is_an_error(loop):
    async def tick():
        while True:  # noqa: ASYNC110 - that is the defect
            await asyncio.sleep(1000)

    with pytest.raises(Stuck, match="did not end"):
        loops.run(loop, tick())
