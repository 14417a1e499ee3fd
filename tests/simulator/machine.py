"""Where processes live: they are started, watched, called and killed here."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cartrita.channel.address import Address
from cartrita.channel.server import ChannelServer
from cartrita.errors import ServiceUnavailable, TaskTimeout
from tests.simulator.loop import OUTSIDE, Process, SimulationLoop
from tests.simulator.network import Network, Weather

EPOCH = 1_700_000_000.0
"""Unix seconds at which every world begins."""

Work = Callable[[], Awaitable[Any]]


class VirtualClock:
    """The time of a simulation."""

    def __init__(self, loop: SimulationLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return EPOCH + self._loop.elapsed

    def monotonic(self) -> float:
        return 1000.0 + self._loop.elapsed


class Sessions(dict[Any, None]):
    """A set that remembers its order: where objects lie in memory must not matter."""

    def add(self, session: Any) -> None:
        self[session] = None

    def discard(self, session: Any) -> None:
        self.pop(session, None)


def orderly(server: ChannelServer) -> ChannelServer:
    """Have a server go through its sessions in the order in which they came."""
    server.sessions = Sessions()
    return server


class Machine:
    """Processes, and the network between them.

    Args:
        folder: Where the sockets' files lie.
    """

    def __init__(self, loop: SimulationLoop, seed: str, folder: Path, weather: Weather) -> None:
        self.loop, self.folder = loop, folder
        self.clock = VirtualClock(loop)
        self.random = random.Random(f"{seed} world")
        self.network = Network(loop, seed, weather)
        self.processes: list[Process] = []
        self._addresses = 0

    def process(self, name: str, owner: Process | None = None) -> Process:
        """Begin a process; one with an owner dies soon after it."""
        process = Process(self.loop, name, len(self.processes) + 1)
        self.processes.append(process)
        process.on_death.append(lambda: self.network.died(process))
        if owner:
            owner.on_death.append(lambda: self.outside(self.random.uniform(0.0, 0.5), process.kill))
        return process

    def outside(self, delay: float, work: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        """Have something happen later that belongs to no process."""
        return self.loop.call_later(delay, work, *args, context=OUTSIDE)

    def address(self) -> Address:
        """Return a place to listen at."""
        self._addresses += 1
        return Address.unix(self.folder / f"{self._addresses}.sock")

    def watch(self, process: Process) -> asyncio.Future[str]:
        """Return a future of a process's death, as Ray's watch has it: a little late."""
        died: asyncio.Future[str] = self.loop.create_future()

        def tell() -> None:
            self.outside(self.random.uniform(0.001, 0.05), settle, died, "killed", None)

        if process.alive:
            process.on_death.append(tell)
        else:
            tell()
        return died

    async def call(self, target: Process, work: Work, timeout: float | None = 120.0) -> Any:
        """Have another process do something, as an actor call does, and return its answer.

        Cancelling the caller cancels the work.

        Raises:
            ServiceUnavailable: It is dead, or dies meanwhile.
            TaskTimeout: It takes too long.
        """
        if not target.alive:
            raise ServiceUnavailable(f"{target.name!r} is away.", retry_after=1)
        errand = Errand(self, work)
        target.on_death.append(errand.lost)
        self.loop.call_later(self.hop(), errand.arrive, context=target.context.copy())
        try:
            async with asyncio.timeout(timeout):
                return await errand.answer
        except TimeoutError:
            raise TaskTimeout(f"{target.name!r} did not answer within {timeout} s.") from None
        finally:
            target.on_death.remove(errand.lost)
            errand.end()

    def hop(self) -> float:
        """Return the seconds that one way of an actor call takes."""
        return self.random.uniform(0.0005, 0.003)


class Errand:
    """One actor call on its way.

    Args:
        work: What the other process does.
    """

    def __init__(self, machine: Machine, work: Work) -> None:
        self._machine, self._work = machine, work
        self.answer: asyncio.Future[Any] = machine.loop.create_future()
        self._task: asyncio.Task[None] | None = None

    def arrive(self) -> None:
        """Begin, in the process that was called."""
        if not self.answer.done():
            self._task = asyncio.create_task(self.run(), name="call")

    async def run(self) -> None:
        """Do the work and send the answer back."""
        try:
            value, error = await self._work(), None
        except Exception as failure:  # noqa: BLE001 - it goes to the caller
            value, error = None, failure
        self._machine.outside(self._machine.hop(), settle, self.answer, value, error)

    def lost(self) -> None:
        """Tell the caller that the other process died."""
        away = ServiceUnavailable("The actor is away.", retry_after=1)
        self._machine.outside(self._machine.hop(), settle, self.answer, None, away)

    def end(self) -> None:
        """Cancel what nobody waits for any more."""
        if self._task and not self._task.done():
            self._machine.outside(self._machine.hop(), self._task.cancel)


def settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    """Resolve a future that may be done already."""
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
        future.exception()  # whoever asked may be gone
