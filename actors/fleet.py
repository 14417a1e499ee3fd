"""The hosts of one supervisor: started, watched, scaled, restarted, picked from."""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from actors.crew import Crew, Outfit
from actors.hosting import Group, Hosts
from actors.pool import SHRINK_AFTER, Load
from actors.restart import Strategy, affected
from actors.slot import Connect, Host, Pulse, Slot
from cartrita.channel.client import connect as connect_channel
from cartrita.clock import Clock
from cartrita.errors import NotFound
from cartrita.protocol.carrier import Carrier
from cartrita.telemetry.log import get_logger
from cartrita.telemetry.metrics import AGENT_HEALTH, HOST_DEATHS, labelled

log = get_logger(__name__)

TICK = 0.5
"""Seconds between two looks at the load."""


class Demand(Protocol):
    """What a fleet asks of its supervisor."""

    def dispatch(self) -> None:
        """A host can take work."""

    def give_up(self, group: Group, *, quarantined: bool) -> None:
        """A group's hosts die too often: it is down, or runs one task at a time."""

    def relieved(self) -> None:
        """A group that was given up or quarantined is tried again."""

    def waiting(self, agent: str) -> int:
        """Return how many tasks wait for an agent."""

    def service(self, agent: str) -> float:
        """Return the mean seconds that a task of an agent takes; 0 for unknown."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a fleet behaves.

    Attributes:
        strategy: What the death of one group's host means for the others, in OTP's words.
        shrink_after: Seconds for which fewer hosts must do before one is ended.
    """

    strategy: Strategy = "one_for_one"
    pulse: Pulse = field(default_factory=Pulse)
    shrink_after: float = SHRINK_AFTER


class Fleet:
    """Keeps the hosts of a shard running.

    Args:
        shard: Whose hosts these are.
        groups: Which agents share a host, in start order.
        hosts: How to start one.
        demand: The supervisor.
    """

    def __init__(  # noqa: PLR0913 - each is a separate collaborator
        self,
        shard: str,
        groups: list[Group],
        hosts: Hosts,
        *,
        clock: Clock,
        randomness: random.Random,
        demand: Demand,
        rules: Rules | None = None,
        connect: Connect = connect_channel,
    ) -> None:
        self._shard, self._clock, self._demand = shard, clock, demand
        self._rules = rules = rules or Rules()
        self._token, self._epoch, self._stopping = "", 0, False
        outfit = Outfit(
            shard,
            hosts,
            connect,
            clock,
            randomness,
            rules.pulse,
            rules.shrink_after,
            self,
            self._identity,
        )
        self.crews = {group.name: Crew(group, outfit) for group in groups}
        self._crew_of = {name: self.crews[group.name] for group in groups for name in group.names}
        self._ready: dict[str, Host | None] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ticker: asyncio.Task[None] | None = None
        self.each_tick: Callable[[], None] | None = None

    def _identity(self) -> tuple[str, int]:
        return self._token, self._epoch

    async def start(self, token: str, epoch: int) -> None:
        """Start every group whose pool is not empty at rest; returns at once."""
        self._token, self._epoch = token, epoch
        for crew in self.crews.values():
            crew.start()
        self._ticker = asyncio.create_task(self._tick(), name=f"fleet of {self._shard}")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            now = self._clock.monotonic()
            for crew in self.crews.values():
                if not crew.given_up:
                    self._adjust(crew, now)
                crew.count()
            if self.each_tick:
                self.each_tick()

    def _adjust(self, crew: Crew, now: float) -> None:
        """Open and close hosts as the load asks for."""
        waiting = sum(self._demand.waiting(name) for name in crew.group.names)
        if crew.quarantined and now >= crew.quarantined_until:
            log.info("group_released", shard=self._shard, group=crew.group.name)
            crew.revive()
            self._demand.relieved()
        crew.calm_down(now)
        crew.reopen(now)
        ward = crew.ward_surplus(wanted=bool(waiting) and crew.quarantined)
        if ward:
            self._close(crew, ward)
        if crew.quarantined:
            return
        hosts = crew.wanted(now, self._load(crew))
        crew.grow(hosts)
        for slot in crew.surplus(hosts):
            self._close(crew, slot)
        self._ready.clear()

    def _load(self, crew: Crew) -> Load:
        """Return the load of the agent of a group that is furthest behind."""
        loads = []
        for name, places in crew.lines():
            running = sum(s.host.busy.get(name, 0) for s in crew.slots if s.host)
            waiting, service = self._demand.waiting(name), self._demand.service(name)
            loads.append(Load(waiting, running, places, service))
        return max(loads, key=lambda load: (load.waiting + load.running) / load.concurrency)

    def _close(self, crew: Crew, slot: Slot) -> None:
        """End a slot once its tasks have ended."""

        async def close() -> None:
            await slot.close(grace=None)
            crew.left(slot)

        self._spawn(close())

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def host_up(self, slot: Slot) -> None:
        """Offer a new host's places (the slot calls this)."""
        self._report(slot.group, healthy=True)
        self.changed()

    def host_lost(self, slot: Slot) -> None:
        """Offer its places no more (the slot calls this)."""
        self._ready.clear()
        crew = self.crews[slot.group.name]
        self._report(slot.group, healthy=any(s.host for s in crew.slots))

    def slot_restarts(self, slot: Slot, host: Host | None) -> None:
        """End those that must go with it, as the team's strategy says (the slot calls this)."""
        if self._stopping or slot.solo:
            return
        if host is not None:
            labelled(HOST_DEATHS, self._shard, slot.group.name).inc()
            self.crews[slot.group.name].crashed(self._demand.service)
        order = list(self.crews)
        for name in affected(self._rules.strategy, order, slot.group.name):
            for other in self.crews[name].slots:
                self._spawn(other.replace())

    def slot_given_up(self, slot: Slot, host: Host | None) -> None:
        """Decide what becomes of a group with a slot that died too often (the slot calls this)."""
        crew = self.crews[slot.group.name]
        labelled(HOST_DEATHS, self._shard, slot.group.name).inc()
        if any(other.active for other in crew.slots if other is not slot) and not slot.solo:
            log.error("host_given_up", host=slot.name)  # the others go on; it is tried later
            return
        if slot in crew.slots and host is not None and host.crowd and not host.planned:
            log.error("group_quarantined", shard=self._shard, group=slot.group.name)
            crew.quarantine()
            self._demand.give_up(slot.group, quarantined=True)
            return
        log.error("group_given_up", shard=self._shard, group=slot.group.name)
        crew.given_up = True
        self._ready.clear()
        self._report(slot.group, healthy=False)
        self._demand.give_up(slot.group, quarantined=False)

    def _report(self, group: Group, *, healthy: bool) -> None:
        for name in group.names:
            AGENT_HEALTH.labels(name).set(float(healthy))

    def changed(self) -> None:
        """Look again at who is ready."""
        self._ready.clear()
        self._demand.dispatch()

    def ready(self, agents: Iterable[str] | None = None) -> list[str]:
        """Return those of some agents, or of all, that could take a task now."""
        return [name for name in (self._crew_of if agents is None else agents) if self._can(name)]

    def _can(self, agent: str) -> bool:
        """Tell whether an agent could take a task, looking anew only after what may change it."""
        known = self._ready.get(agent)
        # A lost channel is known here before the slot's keeper wakes up and says so.
        if agent not in self._ready or (known and not known.open):
            crew = self._crew_of.get(agent)
            known = self._ready[agent] = crew.free(agent) if crew else None
        return known is not None

    def _moved(self, host: Host, agent: str) -> None:
        """Note that places of an agent's were taken or given back."""
        self._ready.clear() if host.solo else self._ready.pop(agent, None)

    def acquire(self, agent: str, preferred: str | None = None) -> Host:
        """Take a place on the least busy host of an agent that `ready` named.

        Args:
            agent: Whose work it is.
            preferred: Take that host, by its name, where it has a place.
        """
        crew = self._crew_of[agent]
        host = (crew.named(preferred, agent) if preferred else None) or crew.free(agent)
        assert host is not None, f"{agent} is not ready"
        self._occupy(host, agent)
        return host

    def _occupy(self, host: Host, agent: str) -> None:
        host.residents += 1
        host.take(agent)
        if host.solo or self._crew_of[agent].full(host, agent):
            self._moved(host, agent)

    def suspect(self) -> tuple[str, Host] | None:
        """Return a suspect that can run now, and the host it has for itself."""
        for crew in self.crews.values():
            host = crew.free_ward() if crew.suspects else None
            if host is not None:
                task_id = crew.suspects.popleft()
                self._ready.clear()
                return task_id, host
        return None

    def confine(self, host: Host, agent: str, task_id: str) -> None:
        """Count a suspect as at work on the ward's host."""
        host.suspect = task_id
        self._occupy(host, agent)

    def worked(self, agent: str) -> None:
        """Note that an attempt of an agent ran to its end."""
        ward = self._crew_of[agent].ward
        if ward is not None:
            ward.worked()

    def add_suspect(self, task_id: str, agent: str) -> None:
        """Have a task run alone."""
        crew = self._crew_of[agent]
        crew.suspects.append(task_id)
        if not self._stopping:
            crew.open_ward()

    def drop_suspect(self, task_id: str, agent: str) -> bool:
        """Take a suspect out of the line; False when it is not in it."""
        crew = self._crew_of.get(agent)
        if crew is None or task_id not in crew.suspects:
            return False
        crew.suspects.remove(task_id)
        return True

    def suspend(self, host: Host, agent: str) -> None:
        """Give a place back for as long as its task waits for a sub-task."""
        host.give(agent)
        self._moved(host, agent)

    def resume(self, host: Host, agent: str) -> None:
        """Take the place again, free or not: who waits for one would hold up who has it."""
        host.take(agent)
        self._moved(host, agent)

    def release(self, host: Host, agent: str, *, working: bool = True) -> None:
        """Let an attempt go from its host."""
        if working:
            host.give(agent)
        host.leave()
        if host.solo or self._ready.get(agent) is None:
            self._moved(host, agent)

    def wake(self, agent: str) -> None:
        """Start a host for an agent that rests with none."""
        crew = self._crew_of[agent]
        if not (crew.given_up or crew.quarantined or self._stopping):
            crew.wake()

    def adopt(self, carrier: Carrier, agent: str) -> None:
        """Have the hosts of an agent take another's tasks, at most so many at a time.

        Args:
            carrier: Whose, and how many.
            agent: Who lives on the hosts.
        """
        crew = self._crew_of[agent]
        if self._crew_of.setdefault(carrier.agent, crew) is crew:
            crew.adopt(carrier.agent, carrier.most)

    def given_up(self, agent: str) -> bool:
        """Tell whether an agent's hosts were given up, or it has none here."""
        crew = self._crew_of.get(agent)
        return crew is None or crew.given_up

    def capacity(self, agent: str) -> int:
        """Return how many tasks of an agent could run at once with the hosts there are to be."""
        crew = self._crew_of[agent]
        return 1 if crew.quarantined else crew.capacity(agent)

    def troubles(self) -> list[dict[str, Any]]:
        """Return the groups that are given up or quarantined."""
        return [
            {"group": name, "state": "down" if crew.given_up else "quarantined"}
            for name, crew in self.crews.items()
            if (crew.given_up or crew.quarantined) and not crew.held
        ]

    def crew(self, name: str) -> Crew:
        """Return a group by its name, or by that of one of its agents.

        Raises:
            NotFound: There is none here.
        """
        found = self.crews.get(name) or self._crew_of.get(name)
        if found is None:
            raise NotFound(f"{self._shard!r} has no group or agent {name!r}.")
        return found

    def revive(self, name: str) -> None:
        """Try again with a group that was given up, unless an operator wants it down."""
        crew = self.crew(name)
        if not crew.held:
            crew.revive()
            self._demand.relieved()

    async def hold(self, crew: Crew, grace: float) -> None:
        """End a group's hosts until somebody restarts it."""
        crew.given_up = crew.held = True
        self._ready.clear()
        self._report(crew.group, healthy=False)
        self._demand.give_up(crew.group, quarantined=False)
        await asyncio.gather(*(slot.close(grace) for slot in crew.all_slots()))

    async def restart(self, name: str | None, grace: float) -> list[str]:
        """Replace a host, a group's or all hosts on purpose; returns their names."""
        crews = [crew for crew in self.crews.values() if crew.answers_to(name)]
        if name is not None and not crews:
            raise NotFound(f"{self._shard!r} has no host, group or agent {name!r}.")
        slots = [slot for crew in crews for slot in crew.slots_named(name)]
        for crew in crews:
            crew.absolve()
        for slot in slots:
            slot.window.reset()
        await asyncio.gather(*(self._again(slot, grace) for slot in slots))
        return [slot.name for slot in slots]

    async def _again(self, slot: Slot, grace: float) -> None:
        if slot.active:
            await slot.replace(grace)
        else:
            slot.open()

    def snapshot(self) -> list[dict[str, Any]]:
        """Return each host as `GET /v3/tree` shows it."""
        return [row for crew in self.crews.values() for row in crew.rows()]

    async def stop(self, grace: float = 0.0) -> None:
        """End every host, the last started first."""
        self._stopping = True
        if self._ticker:
            self._ticker.cancel()
        for task in list(self._tasks):
            task.cancel()
        for crew in reversed(self.crews.values()):
            for slot in reversed(crew.every_slot()):
                await slot.close(grace)
