"""Connections in memory: bytes arrive late, in order and in pieces, or the line is cut."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.simulator.loop import Process, SimulationLoop, current

HIGH, LOW = 64 * 1024, 16 * 1024
"""Bytes under way above which a writer is told to pause, and below which to go on."""

ENDED, RESET = object(), object()
"""What arrives after the last bytes: an orderly end, or a broken line."""


class Weather:
    """How long bytes take.

    Attributes:
        latency: Mean seconds from end to end.
        hiccups: How often (0-1) something takes up to a hundred times as long.
        pieces: How often (0-1) bytes that were written together arrive in pieces.
    """

    def __init__(self, latency: float, hiccups: float = 0.0, pieces: float = 0.0) -> None:
        self.latency, self.hiccups, self.pieces = latency, hiccups, pieces

    def delay(self, randomness: random.Random) -> float:
        """Return the seconds that the next bytes take."""
        delay = self.latency * (0.2 + 1.6 * randomness.random())
        if self.hiccups and randomness.random() < self.hiccups:
            delay *= 100 * randomness.random()
        return delay


class End(asyncio.Transport):
    """One end of a connection, as a protocol sees it."""

    def __init__(self, line: "Line", owner: Process | None, randomness: random.Random) -> None:
        super().__init__()
        self._line, self._loop, self._random = line, line.loop, randomness
        self.owner = owner
        self.peer: End = self
        self.protocol: Any = None
        self.context = owner.context if owner else None
        self._arriving: deque[Any] = deque()
        self._last = 0.0
        self._outstanding = 0
        self._closing = self._paused = self.lost = False

    @property
    def _weather(self) -> Weather:
        return self._line.network.weather

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return self._outstanding

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or not data:
            return
        for piece in self._cut(bytes(data)):
            self._outstanding += len(piece)
            self._send(piece)
        if self._outstanding > HIGH and not self._paused:
            self._paused = True
            self.protocol.pause_writing()

    def _cut(self, data: bytes) -> list[bytes]:
        pieces = self._weather.pieces
        if pieces and len(data) > 1 and self._random.random() < pieces:
            at = self._random.randrange(1, len(data))
            return [data[:at], data[at:]]
        return [data]

    def _send(self, what: Any) -> None:
        """Have something arrive at the other end, after everything that was sent before."""
        peer = self.peer
        peer._arriving.append(what)
        delay = self._weather.delay(self._random)
        self._last = max(self._last, self._loop.time() + delay, self._line.held_until)
        self._loop.call_at(self._last, peer._arrive, context=peer.context)

    def _arrive(self) -> None:
        """Take the next of what is under way (which of several timers fired does not matter)."""
        if not self._arriving:
            return  # it was cut off
        what = self._arriving.popleft()
        if what is ENDED or what is RESET:
            self._lose(None if what is ENDED else ConnectionResetError("reset by peer"))
            return
        self.peer._taken(len(what))
        if not self._closing:
            self.protocol.data_received(what)

    def _taken(self, size: int) -> None:
        self._outstanding -= size
        if self._paused and self._outstanding < LOW:
            self._paused = False
            if not self.lost:
                self._loop.call_soon(self.protocol.resume_writing, context=self.context)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._send(ENDED)
            self._loop.call_soon(self._lose, None, context=self.context)

    def abort(self) -> None:
        if not self._closing:
            self._closing = True
            self._send(RESET)
            self._loop.call_soon(self._lose, None, context=self.context)

    def cut(self) -> None:
        """Lose the line at this end, and what was on its way here."""
        self._arriving.clear()
        self._closing = True
        reset = ConnectionResetError("the line was cut")
        delay = self._weather.delay(self._random)
        self._loop.call_later(delay, self._lose, reset, context=self.context)

    def orphan(self) -> None:
        """Tell the other end that this one's process is gone; what was sent still arrives."""
        if not self.lost:
            self.lost = self._closing = True
            self._send(ENDED if self._random.random() < 0.5 else RESET)

    def _lose(self, error: Exception | None) -> None:
        if self.lost:
            return
        self.lost = self._closing = True
        self._line.network.forget(self._line)
        if self.protocol:
            self.protocol.connection_lost(error)


class Line:
    """One connection.

    Attributes:
        held_until: Nothing arrives before this time: the line is stalled.
    """

    def __init__(self, network: "Network", number: int) -> None:
        self.network, self.loop = network, network.loop
        self.number = number
        self.held_until = 0.0
        self.ends: tuple[End, ...] = ()

    def open(self, client: Process | None, owner: Process | None) -> None:
        """Make the two ends; each draws from a source of its own."""
        seed = f"{self.network.seed} line {self.number}"
        here = End(self, client, random.Random(f"{seed} client"))
        there = End(self, owner, random.Random(f"{seed} server"))
        here.peer, there.peer = there, here
        self.ends = (here, there)

    def cut(self) -> None:
        """Break it; each end notices by itself."""
        for end in self.ends:
            end.cut()


class Listener:
    """A listening server, with what `ChannelServer` uses of asyncio's."""

    def __init__(self, network: "Network", factory: Callable[[], Any], path: str) -> None:
        self._network, self.factory, self._path = network, factory, path
        self.owner = current()

    async def start_serving(self) -> None:
        """Begin to take connections."""
        self._network.listeners[self._path] = self

    def close(self) -> None:
        """Take no more connections."""
        self._network.listeners.pop(self._path, None)


class Network:
    """Everything that connects the processes of a world."""

    def __init__(self, loop: SimulationLoop, seed: str, weather: Weather) -> None:
        self.loop, self.seed, self.weather = loop, seed, weather
        self.listeners: dict[str, Listener] = {}
        self.lines: dict[int, Line] = {}
        self._random = random.Random(f"{seed} network")
        self._numbers = 0
        loop.network = self

    def listen(self, factory: Callable[[], Any], path: str) -> Listener:
        """Return a server that does not serve yet."""
        return Listener(self, factory, path)

    async def connect(self, factory: Callable[[], Any], path: str) -> tuple[End, Any]:
        """Connect the present process to a listener.

        Raises:
            ConnectionRefusedError: Nobody listens there.
        """
        delay = 2 * self.weather.delay(self._random)
        await asyncio.sleep(delay)
        listener = self.listeners.get(path)
        if listener is None or (listener.owner and not listener.owner.alive):
            raise ConnectionRefusedError(f"nobody listens at {path}")
        self._numbers += 1
        line = Line(self, self._numbers)
        line.open(current(), listener.owner)
        self.lines[line.number] = line
        here, there = line.ends
        here.protocol = factory()
        here.protocol.connection_made(here)
        self.loop.call_soon(_accept, there, listener.factory, context=there.context)
        return here, here.protocol

    def forget(self, line: Line) -> None:
        """Drop a line with an end that is closed."""
        self.lines.pop(line.number, None)

    def died(self, process: Process) -> None:
        """Hang up for a process that is gone."""
        for line in list(self.lines.values()):
            for end in line.ends:
                if end.owner is process:
                    end.orphan()
                    self.forget(line)


def _accept(end: End, factory: Callable[[], Any]) -> None:
    """Greet a connection in the server's process."""
    end.protocol = factory()
    end.protocol.connection_made(end)
