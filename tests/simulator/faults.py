"""What goes wrong, and how it is made good for the quiet phase."""

import asyncio

from actors.commands import Command
from cartrita.errors import CartritaError
from tests.simulator.loop import Process
from tests.simulator.network import Line
from tests.simulator.scenario import Fault
from tests.simulator.world import World

SLICE = 0.02

RESTARTS = ("agent:steady", "agent:frail", "agent:sleepy", "system/0", "intelligence")
SCALES = {("SCALE_UP", "system"): {"to": 2}, ("SCALE_DOWN", "system"): {"to": 1}}
ORDERS = {"restart": [("RESTART", target) for target in RESTARTS], "scale": list(SCALES)}
"""What an operator may order: a command and its target."""


class Faults:
    """Carries out the faults of a scenario."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, faults: tuple[Fault, ...]) -> None:
        """Have each happen at its time."""
        loop = self._world.loop
        for fault in faults:
            await asyncio.sleep(max(fault.at - loop.elapsed, 0.0))
            loop.trace.note("fault", fault.kind, round(fault.which, 3), fault.seconds)
            task = asyncio.create_task(self._do(fault))
            self._tasks.add(task)
        if self._tasks:
            await asyncio.wait(self._tasks)
        for task in self._tasks:
            task.result()

    async def _do(self, fault: Fault) -> None:
        kind, _, what = fault.kind.partition(" ")
        if kind == "kill":
            self._kill(what, fault)
        elif kind in ("cut", "stall"):
            self._line(fault)
        elif kind == "outage":
            await self._outage(fault.seconds)
        elif kind in ("restart", "scale"):
            await self._command(kind, fault)
        else:
            await self._hold(fault)

    def _kill(self, what: str, fault: Fault) -> None:
        process = _choose(self._alive(what), fault.which)
        if process:
            process.kill()

    def _alive(self, what: str) -> list[Process]:
        """Return the processes of a kind that live."""
        world = self._world
        if what == "orchestrator":
            found = [world.head.process] if world.head else []
        elif what == "gateway":
            found = [world.gateway.process]
        elif what == "supervisor":
            found = [life.process for life in world.lives.values()]
        else:
            found = [process for process in world.processes if "@" in process.name]
        return [process for process in found if process.alive]

    def _line(self, fault: Fault) -> None:
        line: Line | None = _choose(list(self._world.network.lines.values()), fault.which)
        if line is None:
            return
        if fault.kind == "cut":
            line.cut()
        else:
            line.held_until = self._world.loop.elapsed + fault.seconds

    async def _outage(self, seconds: float) -> None:
        database = self._world.database
        database.up = False
        await asyncio.sleep(seconds)
        database.up = True

    async def _command(self, kind: str, fault: Fault) -> None:
        """Have an operator order something."""
        head = self._world.head
        if head is None or not head.process.alive:
            return
        order = _choose(ORDERS[kind], fault.which)
        command = Command(*order, {"grace": fault.seconds, **SCALES.get(order, {})}, "operator")
        try:
            await self._world.call(
                head.process, lambda: head.operations.carry_out(command), timeout=60.0
            )
        except CartritaError as error:
            self._world.loop.trace.note("command", error.code)

    async def _hold(self, fault: Fault) -> None:
        """Stop a process for a while, or let it run in short bursts only."""
        kinds = ("host", "supervisor", "orchestrator", "gateway")
        process = _choose([p for kind in kinds for p in self._alive(kind)], fault.which)
        if process is None:
            return
        end = self._world.loop.elapsed + fault.seconds
        while self._world.loop.elapsed < end:
            process.stop()
            await asyncio.sleep(fault.seconds if fault.kind == "pause" else SLICE)
            process.resume()
            await asyncio.sleep(SLICE / 4)


def _choose(found, which: float):
    """Return one of several, chosen by a number between 0 and 1."""
    return found[int(which * len(found))] if found else None
