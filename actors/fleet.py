"""The hosts of one supervisor: started, watched, restarted, picked from."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from actors.hosting import Group, HostHandle, Hosts, HostSpec
from actors.restart import RestartPolicy, RestartWindow
from cartrita.channel.client import Channel, connect
from cartrita.clock import Clock
from cartrita.telemetry.log import get_logger
from cartrita.telemetry.metrics import AGENT_HEALTH

log = get_logger(__name__)

START_TIMEOUT = 120.0
"""Seconds a host may take to import, build its agents and listen (torch is slow)."""

STOP_TIMEOUT = 10.0
"""Seconds that `stop` waits for one host to be gone."""


@dataclass(slots=True, eq=False)
class Host:
    """One running host process."""

    spec: HostSpec
    group: Group
    handle: HostHandle
    channel: Channel
    busy: dict[str, int] = field(default_factory=dict)

    @property
    def in_flight(self) -> int:
        """How many attempts run on it."""
        return sum(self.busy.values())


@dataclass(slots=True, eq=False)
class _Slot:
    """A place in a group: one host at a time, restarted when it dies."""

    number: int
    group: Group
    window: RestartWindow
    state: str = "starting"
    host: Host | None = None
    starts: int = 0
    keeper: asyncio.Task[None] | None = None


class Fleet:
    """Keeps the hosts of a shard running.

    Args:
        shard: Whose hosts these are.
        groups: Which agents share a host.
        hosts: How to start one.
        on_ready: Called when a host can take work.
        on_down: Called with a group that was given up.
    """

    def __init__(  # noqa: PLR0913 - each is a separate collaborator
        self,
        shard: str,
        groups: list[Group],
        hosts: Hosts,
        *,
        clock: Clock,
        randomness: random.Random,
        on_ready: Callable[[], None],
        on_down: Callable[[Group], None],
    ) -> None:
        self._shard, self._hosts, self._clock = shard, hosts, clock
        self._random = randomness
        self._on_ready, self._on_down = on_ready, on_down
        self._token, self._epoch, self._stopping = "", 0, False
        self._given_up: set[str] = set()
        self._concurrency = {agent.name: agent.concurrency for g in groups for agent in g.agents}
        self._slots = {group.name: [self._slot(group, 0)] for group in groups}
        self._slots_of = {
            agent.name: self._slots[group.name] for group in groups for agent in group.agents
        }

    def _slot(self, group: Group, number: int) -> _Slot:
        first = group.agents[0]
        policy = RestartPolicy(first.restart, first.intensity, first.period)
        return _Slot(number, group, RestartWindow(policy, self._random))

    async def start(self, token: str, epoch: int) -> None:
        """Start every group whose pool is not empty at rest; returns at once."""
        self._token, self._epoch = token, epoch
        for slots in self._slots.values():
            for slot in slots:
                if any(agent.pool[0] > 0 for agent in slot.group.agents):
                    self._keep(slot)
                else:
                    slot.state = "down"

    def _keep(self, slot: _Slot) -> None:
        slot.state = "starting"
        slot.keeper = asyncio.create_task(self._run(slot), name=f"{self._shard} {slot.group.name}")

    async def _run(self, slot: _Slot) -> None:
        """Start the slot's host again whenever it dies, until its restarts are too many."""
        while not self._stopping:
            crashed = await self._one_life(slot)
            self._report(slot, healthy=False)
            delay = slot.window.died(self._clock.monotonic(), crashed=crashed)
            if self._stopping or delay is None:
                break
            slot.state = "starting"
            await asyncio.sleep(delay)
        slot.state = "down"
        if not self._stopping:
            log.error("host_given_up", shard=self._shard, group=slot.group.name)
            self._given_up.update(slot.group.names)
            self._on_down(slot.group)

    async def _one_life(self, slot: _Slot) -> bool:
        """Start a host and stay until it is gone; True when it crashed or did not start."""
        slot.starts += 1
        spec = HostSpec(
            f"{self._shard}.{slot.group.name}.{slot.number}.{slot.starts}",
            slot.group.names,
            self._epoch,
            self._token,
            cpus=sum(agent.needs.cpus for agent in slot.group.agents),
            memory_mb=sum(agent.needs.memory_mb for agent in slot.group.agents),
        )
        try:
            async with asyncio.timeout(START_TIMEOUT):
                handle = await self._hosts.start(spec)
                channel = await self._connect(spec, handle)
        except Exception as error:  # noqa: BLE001 - whatever a child fails with is its crash
            log.warning("host_did_not_start", host=spec.host_id, error=repr(error))
            return True
        slot.host = Host(spec, slot.group, handle, channel)
        slot.state = "up"
        self._report(slot, healthy=True)
        self._on_ready()
        ends: list[asyncio.Future[Any]] = [handle.died, channel.closed]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        slot.host = None
        if not self._stopping:
            log.warning("host_died", host=spec.host_id, pid=handle.pid)
        # Its tasks may run again elsewhere only once it certainly runs no longer.
        await self._end(spec, handle)
        channel.close()
        return True

    async def _end(self, spec: HostSpec, handle: HostHandle) -> None:
        try:
            await handle.kill()
        except Exception as error:  # noqa: BLE001 - the slot must be filled again all the same
            log.warning("host_did_not_end", host=spec.host_id, error=repr(error))

    async def _connect(self, spec: HostSpec, handle: HostHandle) -> Channel:
        """Open the channel to a host; one that cannot be reached is ended."""
        try:
            return await connect(
                handle.address, token=self._token, peer=self._shard, epoch=self._epoch
            )
        except BaseException:
            await self._end(spec, handle)
            raise

    def _report(self, slot: _Slot, *, healthy: bool) -> None:
        for name in slot.group.names:
            AGENT_HEALTH.labels(name).set(float(healthy))

    def ready(self) -> list[str]:
        """Return the agents that could take a task now."""
        return [agent for agent in self._slots_of if self._free(agent) is not None]

    def _free(self, agent: str) -> Host | None:
        limit, best = self._concurrency[agent], None
        for slot in self._slots_of[agent]:
            host = slot.host
            # A lost channel is known here before the slot's keeper wakes up and says so.
            if host is None or host.channel.closed.done() or host.busy.get(agent, 0) >= limit:
                continue
            if best is None or host.in_flight < best.in_flight:
                best = host
        return best

    def acquire(self, agent: str) -> Host:
        """Take a place on the least busy host of an agent that `ready` named."""
        host = self._free(agent)
        assert host is not None, f"{agent} is not ready"
        host.busy[agent] = host.busy.get(agent, 0) + 1
        return host

    def release(self, host: Host, agent: str) -> None:
        """Give a place back."""
        host.busy[agent] -= 1

    def wake(self, agent: str) -> None:
        """Start a host for an agent that rests with none; once per task that waits for it."""
        for slot in self._slots_of[agent]:
            if slot.state == "down" and slot.keeper is None and not self._stopping:
                self._keep(slot)
                return

    def given_up(self, agent: str) -> bool:
        """Tell whether an agent's hosts were given up, or it has none here."""
        return agent in self._given_up or agent not in self._slots_of

    def snapshot(self) -> list[dict[str, Any]]:
        """Return each host as `GET /v3/tree` shows it."""
        return [_host_row(self._shard, slot) for slots in self._slots.values() for slot in slots]

    async def stop(self) -> None:
        """End every host, the last started first."""
        self._stopping = True
        slots = [slot for some in self._slots.values() for slot in some]
        for slot in reversed(slots):
            if slot.host:
                await self._end(slot.host.spec, slot.host.handle)
            if slot.keeper:
                slot.keeper.cancel()
                await asyncio.wait([slot.keeper], timeout=STOP_TIMEOUT)


def _host_row(shard: str, slot: _Slot) -> dict[str, Any]:
    host = slot.host
    return {
        "id": f"{shard}.{slot.group.name}.{slot.number}",
        "state": slot.state,
        "pid": host.handle.pid if host else None,
        "node": host.handle.node if host else None,
        "restarts": slot.window.restarts,
        "inFlight": host.in_flight if host else 0,
        "agents": list(slot.group.names),
    }
