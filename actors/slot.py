"""A place for one host process, which is filled again when the host dies."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from actors.hosting import ENDED, Group, HostHandle, Hosts, HostSpec
from actors.restart import FIRST_DELAY, RestartWindow
from cartrita.channel.client import Channel
from cartrita.clock import Clock
from cartrita.errors import CartritaError, TaskTimeout
from cartrita.telemetry.log import get_logger

log = get_logger(__name__)

START_TIMEOUT = 120.0
"""Seconds a host may take to import, build its agents and listen (torch is slow)."""

STOP_TIMEOUT = 10.0
"""Seconds that `close` waits for one host to be gone."""

RECYCLE_GRACE = 5.0
"""Seconds that tasks of a host have to end before it is replaced."""

Connect = Callable[..., Awaitable[Channel]]


@dataclass(frozen=True, slots=True)
class Pulse:
    """The work-lane heartbeat: a request that the host's agents' own loop must answer.

    Attributes:
        every: Seconds between two.
        wedged_after: Seconds without an answer after which the host is replaced.
    """

    every: float = 2.0
    wedged_after: float = 10.0


@dataclass(slots=True, eq=False)
class Host:
    """One running host process.

    Attributes:
        busy: Attempts at work, by agent; those that wait for a sub-task do not count.
        residents: All attempts on it.
        planned: We end it ourselves: nobody on it is suspected of its death.
        draining: It gets nothing new.
        suspect: The task it was given alone, where it is a ward's.
        crowd: How many were at work on it when it was lost; 0 while it lives.
        idle: Nobody was at work on it then: all waited for sub-tasks, and count as its crowd.
        gone: Done when it certainly runs no longer, or nobody can tell.
    """

    spec: HostSpec
    group: Group
    handle: HostHandle
    channel: Channel
    gone: asyncio.Future[None]
    busy: dict[str, int] = field(default_factory=dict)
    in_flight: int = 0
    residents: int = 0
    planned: bool = False
    draining: bool = False
    solo: bool = False
    suspect: str = ""
    crowd: int = 0
    idle: bool = False
    _empty: asyncio.Future[None] | None = None

    @property
    def open(self) -> bool:
        """Whether it can take anything."""
        return not self.draining and not self.channel.closed.done()

    def take(self, agent: str) -> None:
        """Count an attempt at work."""
        self.busy[agent] = self.busy.get(agent, 0) + 1
        self.in_flight += 1

    def give(self, agent: str) -> None:
        """Count one less."""
        self.busy[agent] -= 1
        self.in_flight -= 1

    def leave(self) -> None:
        """Count one resident less."""
        self.residents -= 1
        if not self.residents and self._empty and not self._empty.done():
            self._empty.set_result(None)

    def lose(self) -> None:
        """Note who was on it when it was lost."""
        if not self.crowd:
            self.crowd, self.idle = self.in_flight or self.residents, not self.in_flight

    async def emptied(self, timeout: float | None) -> None:
        """Wait until nobody is on it any more, at most `timeout` seconds."""
        self._empty = asyncio.get_running_loop().create_future()
        if self.residents:
            ends = [self._empty, self.gone]
            await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


class SlotOwner(Protocol):
    """Who is told what becomes of a slot."""

    def host_up(self, slot: "Slot") -> None:
        """A host can take work."""

    def host_lost(self, slot: "Slot") -> None:
        """A host takes no more work; its process may not be gone yet."""

    def slot_restarts(self, slot: "Slot", host: Host | None) -> None:
        """A slot is filled again after the death of `host`, if it started, that nobody planned."""

    def slot_given_up(self, slot: "Slot", host: Host | None) -> None:
        """A slot will not be filled again; `host` is the last that died in it, if it started."""


class Slot:
    """One place.

    Args:
        name: Such as `intelligence/0.shared.0`.
        group: The agents of its host.
        spec_of: Returns the spec of its nth host.
        hosts: How to start one.
        window: Which restarts still count.
        owner: Who is told.
    """

    def __init__(  # noqa: PLR0913 - each is a separate collaborator
        self,
        name: str,
        group: Group,
        spec_of: Callable[[str], HostSpec],
        hosts: Hosts,
        *,
        window: RestartWindow,
        owner: SlotOwner,
        connect: Connect,
        clock: Clock,
        pulse: Pulse,
        solo: bool = False,
    ) -> None:
        self.name, self.group, self.window, self.solo = name, group, window, solo
        self._spec_of, self._hosts, self._owner = spec_of, hosts, owner
        self._connect, self._clock, self._pulse = connect, clock, pulse
        self.state = "down"
        self.host: Host | None = None
        self.starts, self.down_since, self.memory = 0, 0.0, 0
        self.log_level: Callable[[], str] = str
        self.resting = False
        self._killers: set[str] = set()
        self._closing = self._ending = False
        self._keeper: asyncio.Task[None] | None = None

    @property
    def active(self) -> bool:
        """Whether somebody keeps it filled."""
        return self._keeper is not None and not self._keeper.done()

    def open(self) -> None:
        """Begin to keep it filled."""
        if not self.active:
            self.state, self._closing, self.resting = "starting", False, False
            self._keeper = asyncio.create_task(self._run(), name=self.name)

    async def _run(self) -> None:
        """Start the slot's host again whenever it dies, until its restarts are too many."""
        while not self._closing:
            host = await self._begin()
            planned, crashed = False, True
            if host is not None:
                crashed = await self._watch(host) != ENDED
                planned = host.planned
            if self._closing:
                break
            delay = 0.0 if planned else self._pause(host, crashed=crashed)
            if delay is None:
                self.state, self.down_since = "down", self._clock.monotonic()
                if crashed:
                    self._owner.slot_given_up(self, host)
                else:
                    self.resting = True
                    self._owner.host_lost(self)
                return
            if not planned:
                self._owner.slot_restarts(self, host)
            self.state = "starting"
            await asyncio.sleep(delay)
        self.state = "down"

    def _pause(self, host: Host | None, *, crashed: bool) -> float | None:
        """Return the seconds to wait after a death; None to give up.

        A suspect that kills a ward again is the one to blame, not the ward: it counts once.
        """
        if host is not None and host.suspect and host.crowd:
            if host.suspect in self._killers:
                self.window.restarts += 1
                return FIRST_DELAY
            self._killers.add(host.suspect)
        return self.window.died(self._clock.monotonic(), crashed=crashed)

    def worked(self) -> None:
        """Note that its agents can do their work: earlier deaths were not their fault."""
        if self._killers:
            self._killers.clear()
            self.window.reset()

    async def _begin(self) -> Host | None:
        """Start a host and open its channel; None when it did not come up."""
        self.starts += 1
        spec = self._spec_of(f"{self.name}.{self.starts}")
        try:
            async with asyncio.timeout(START_TIMEOUT):
                handle = await self._hosts.start(spec)
                channel = await self._reach(spec, handle)
        except Exception as error:  # noqa: BLE001 - whatever a child fails with is its crash
            log.warning("host_did_not_start", host=spec.host_id, error=repr(error))
            return None
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        host = Host(spec, self.group, handle, channel, gone, solo=self.solo)
        self.host, self.state = host, "up"
        self._owner.host_up(self)
        return host

    async def _reach(self, spec: HostSpec, handle: HostHandle) -> Channel:
        """Open the channel to a host; one that cannot be reached is ended."""
        try:
            return await self._connect(
                handle.address, token=spec.token, peer=self.name, epoch=spec.epoch
            )
        except BaseException:
            await self._end(spec, handle)
            raise

    async def _watch(self, host: Host) -> str:
        """Stay until a host is gone; returns why it went."""
        beat = asyncio.create_task(self._beat(host), name=f"pulse of {host.spec.host_id}")
        try:
            ends: list[asyncio.Future[Any]] = [host.handle.died, host.channel.closed]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            beat.cancel()
            host.lose()
            self.host = None
        self._owner.host_lost(self)
        if not (self._closing or host.planned):
            log.warning("host_died", host=host.spec.host_id, pid=host.handle.pid)
        # Its tasks may run again elsewhere only once it certainly runs no longer.
        self._ending = True
        await self._end(host.spec, host.handle)
        self._ending = False
        host.channel.close()
        if not host.gone.done():
            host.gone.set_result(None)
        return host.handle.died.result() if host.handle.died.done() else ""

    async def _beat(self, host: Host) -> None:
        """Ask the work lane for a sign of life; end a host that gives none."""
        while True:
            await asyncio.sleep(self._pulse.every)
            try:
                answer = await self.ask(host, self._pulse.wedged_after)
            except TaskTimeout:
                log.warning("host_wedged", host=host.spec.host_id, pid=host.handle.pid)
                host.lose()
                await self._end(host.spec, host.handle)
                return
            except CartritaError:
                return  # the channel says the rest
            if answer["stuck"]:
                log.warning("host_stuck", host=host.spec.host_id, threads=answer["stuck"])
                await self.replace(RECYCLE_GRACE)

    async def ask(self, host: Host, timeout: float) -> Any:
        """Ask a host how it is, and tell it from which level on to log."""
        answer = await host.channel.request("beat", self.log_level(), timeout)
        self.memory = answer.get("memory", 0)
        return answer

    async def _end(self, spec: HostSpec, handle: HostHandle) -> None:
        try:
            await handle.kill()
        except Exception as error:  # noqa: BLE001 - the slot must be filled again all the same
            log.warning("host_did_not_end", host=spec.host_id, error=repr(error))

    async def replace(self, grace: float = 0.0) -> None:
        """End the present host on purpose, once its tasks ended or `grace` is over.

        Another takes its place at once, and no restart is counted.
        """
        host = self.host
        if host is None:
            return
        await self._drain(host, grace)

    async def _drain(self, host: Host, grace: float | None) -> None:
        """Give a host nothing new, wait for its tasks, and end it on purpose."""
        host.draining, self.state = True, "draining"
        self._owner.host_lost(self)
        await host.emptied(grace)
        host.planned = True
        await self._end(host.spec, host.handle)

    async def close(self, grace: float | None = 0.0) -> None:
        """End the host once its tasks ended or `grace` is over, and fill the slot no more."""
        self._closing = True
        host = self.host
        if host is not None:
            await self._drain(host, grace)
        if self._keeper:
            if host is None and not self._ending:
                self._keeper.cancel()
            try:
                await asyncio.wait([self._keeper], timeout=STOP_TIMEOUT)
            finally:
                self._keeper.cancel()
        self.state = "down"

    def row(self) -> dict[str, Any]:
        """Return this slot as `GET /v3/tree` shows it."""
        host = self.host
        return {
            "id": self.name,
            "state": self.state,
            "pid": host.handle.pid if host else None,
            "node": host.handle.node if host else None,
            "actorId": host.handle.actor if host else None,
            "memoryBytes": self.memory if host else 0,
            "restarts": self.window.restarts,
            "inFlight": host.residents if host else 0,
            "agents": list(self.group.names),
        }
