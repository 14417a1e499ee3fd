"""Simulated connections, with the program's own channels on them."""

import asyncio

import pytest

from cartrita.channel.client import connect
from cartrita.channel.server import ChannelServer
from cartrita.errors import ChannelLost
from tests.simulator import loop as loops
from tests.simulator.loop import SimulationLoop
from tests.simulator.machine import Machine
from tests.simulator.network import Weather
from tests.support.channels import TOKEN, Answers

STORMY = Weather(0.01, hiccups=0.2, pieces=0.8)


@pytest.fixture
def machine(tmp_path):
    loop = SimulationLoop(7)
    made = Machine(loop, "7", tmp_path, STORMY)
    yield made
    for process in made.processes:
        process.kill()
        process.bury()
    loop.close()


async def serve(machine):
    """Start a process that listens; returns it and where."""
    process, answers = machine.process("server"), Answers()
    where = machine.address()

    async def listen():
        await ChannelServer("server", answers, token=TOKEN).start(where)

    await process.start(listen())
    return process, where, answers


def test_frames_arrive_whole_and_in_order(machine):
    async def talk():
        _, where, _ = await serve(machine)
        channel = await connect(where, token=TOKEN, peer="test")
        asked = [channel.request("echo", "x" * size, 30) for size in (1, 10_000, 5, 200_000)]
        return [len(answer) for answer in await asyncio.gather(*asked)]

    assert loops.run(machine.loop, talk()) == [1, 10_000, 5, 200_000]


def test_a_killed_server_is_noticed_and_refuses_connections(machine):
    async def talk():
        process, where, answers = await serve(machine)
        channel = await connect(where, token=TOKEN, peer="test")
        held = asyncio.create_task(channel.request("hold", 1, 30))
        await answers.entered.get()
        process.kill()
        with pytest.raises(ChannelLost):
            await held
        with pytest.raises(ChannelLost, match="Nobody answers"):
            await connect(where, token=TOKEN, peer="test")
        assert answers.left.empty()

    loops.run(machine.loop, talk())


def test_a_cut_line_is_noticed_at_both_ends(machine):
    async def talk():
        _, where, answers = await serve(machine)
        channel = await connect(where, token=TOKEN, peer="test")
        held = asyncio.create_task(channel.request("hold", 1, 30))
        await answers.entered.get()
        for line in list(machine.network.lines.values()):
            line.cut()
        with pytest.raises(ChannelLost):
            await held
        assert await answers.left.get() == 1

    loops.run(machine.loop, talk())


def test_a_stalled_line_delivers_late_and_everything(machine):
    async def talk():
        _, where, _ = await serve(machine)
        channel = await connect(where, token=TOKEN, peer="test")
        for line in machine.network.lines.values():
            line.held_until = machine.loop.time() + 4
        answer = await channel.request("echo", "late", 30)
        return answer, machine.loop.time()

    answer, at = loops.run(machine.loop, talk())
    assert answer == "late"
    assert at > 4
