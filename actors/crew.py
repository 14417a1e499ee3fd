"""The hosts of one group of agents: as many as its load asks for, and one for suspects.

A host that dies with several tasks at work says nothing of which one killed it. So all of
them become *suspects* and run again one at a time, on a host of their own (the *ward*): the
innocent end there, and the guilty one is known. When the ordinary hosts die too often under
work, the group is *quarantined*: for a while everything runs in the ward.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from actors.counting import group_is
from actors.hosting import Group, Hosts, HostSpec
from actors.pool import Load, PoolBounds, PoolSize
from actors.restart import RestartPolicy, RestartWindow
from actors.slot import Connect, Host, Pulse, Slot, SlotOwner
from cartrita.clock import Clock
from cartrita.telemetry.log import level

WARD = "ward"
QUARANTINE = 30.0
"""Seconds for which a group whose hosts die under work runs one task at a time."""

WARD_IDLE = 10.0
"""Seconds after which a ward without work is ended."""

SPARE = 60.0
"""Seconds after a crash for which a group that never rests has one host more: hosts that die
once often die again, and the next crash then finds one that is up."""

CROWD = 8
"""Tasks at work on a host shortly after a crash, at least: of more, another crash would make
more suspects than can be run one by one in a short time."""

CLEARED = 1.0
"""Seconds in which the suspects of a crash shall be run one by one."""


PLENTY = 1000
"""Calls of other people's agents that a host can wait for."""


@dataclass(frozen=True, slots=True)
class Outfit:
    """What every slot of a shard is made with."""

    shard: str
    hosts: Hosts
    connect: Connect
    clock: Clock
    randomness: random.Random
    pulse: Pulse
    shrink_after: float
    owner: SlotOwner
    identity: Callable[[], tuple[str, int]]
    """Returns the channel token and the epoch."""


class Crew:
    """All hosts of a group.

    Attributes:
        places: How many tasks of each agent a host may run at a time, for now.
        given_up: Nothing of it is started any more.
        held: That is so because an operator ordered it.
        log_level: From which level on its hosts log; empty is as their supervisor.
    """

    def __init__(self, group: Group, outfit: Outfit) -> None:
        self.group, self._outfit = group, outfit
        least = max(agent.pool[0] for agent in group.agents)
        most = max(agent.pool[1] for agent in group.agents)
        self.size = PoolSize(PoolBounds(least, most), down_after=outfit.shrink_after)
        self._declared = {agent.name: agent.concurrency for agent in group.agents}
        self.places = dict(self._declared)
        self._adopted: dict[str, int] = {}
        self.slots: list[Slot] = []
        self.ward: Slot | None = None
        self.suspects: deque[str] = deque()
        self.given_up = self.held = False
        self.log_level = ""
        self.quarantined_until = 0.0
        self._ward_used = self._spare_until = self._careful_until = 0.0
        self._leaving: list[Slot] = []

    def start(self) -> None:
        """Open the hosts that are there without any load."""
        self.grow(self.size.bounds.least)

    def _slot(self, name: str, *, solo: bool = False) -> Slot:
        outfit, first = self._outfit, self.group.agents[0]
        policy = RestartPolicy(first.restart, first.intensity, first.period)
        slot = Slot(
            f"{outfit.shard}.{self.group.name}.{name}",
            self.group,
            self._spec,
            outfit.hosts,
            window=RestartWindow(policy, outfit.randomness),
            owner=outfit.owner,
            connect=outfit.connect,
            clock=outfit.clock,
            pulse=outfit.pulse,
            solo=solo,
        )
        slot.log_level = self._log_level
        return slot

    def _log_level(self) -> str:
        return self.log_level or level()

    def _spec(self, host_id: str) -> HostSpec:
        token, epoch = self._outfit.identity()
        agents = self.group.agents
        return HostSpec(
            host_id,
            self.group.names,
            epoch,
            token,
            cpus=sum(agent.needs.cpus for agent in agents),
            memory_mb=sum(agent.needs.memory_mb for agent in agents),
            log_level=self._log_level(),
        )

    def grow(self, hosts: int) -> None:
        """Open slots until there are `hosts`."""
        taken = {slot.name.rpartition(".")[2] for slot in [*self.slots, *self._leaving]}
        free = (str(number) for number in range(len(taken) + hosts) if str(number) not in taken)
        while len(self.slots) < hosts:
            slot = self._slot(next(free))
            self.slots.append(slot)
            slot.open()

    def surplus(self, hosts: int) -> list[Slot]:
        """Take out the least busy slots over `hosts`; the caller closes them."""
        by_load = sorted(self.slots, key=lambda slot: slot.host.residents if slot.host else -1)
        leaving = by_load[: max(len(self.slots) - hosts, 0)]
        for slot in leaving:
            self.slots.remove(slot)
        self._leaving += leaving
        return leaving

    def left(self, slot: Slot) -> None:
        """Forget a slot that is closed."""
        self._leaving.remove(slot)

    def free(self, agent: str) -> Host | None:
        """Return the least busy host with a place for an agent."""
        limit, best = self.places[agent], None
        if agent in self._adopted and self.running(agent) >= self._adopted[agent]:
            return None
        for slot in self.slots:
            host = slot.host
            # A lost channel is known here before the slot's keeper wakes up and says so.
            if host is None or not host.open or host.busy.get(agent, 0) >= limit:
                continue
            if best is None or host.in_flight < best.in_flight:
                best = host
        if best is None and self.quarantined and not self.suspects:
            return self.free_ward()
        return best

    def named(self, name: str, agent: str) -> Host | None:
        """Return the host of a slot by its name, when it has a place for an agent."""
        for slot in self.slots:
            host = slot.host if slot.name == name else None
            if host and host.open and not self.full(host, agent):
                return host
        return None

    def adopt(self, agent: str, most: int) -> None:
        """Take the tasks of an agent that does not live here, so many at a time in all."""
        if agent not in self._declared or agent in self._adopted:
            self._adopted[agent] = most
            self.allow(agent, most)

    def running(self, agent: str) -> int:
        """Return how many tasks of an agent are at work."""
        hosts = [slot.host for slot in self.every_slot()]
        return sum(host.busy.get(agent, 0) for host in hosts if host)

    def full(self, host: Host, agent: str) -> bool:
        """Tell whether a host, or all together, may take no more of an agent's tasks."""
        if agent in self._adopted:
            return self.running(agent) >= self._adopted[agent]
        return host.busy.get(agent, 0) >= self.places[agent]

    def capacity(self, agent: str) -> int:
        """Return how many tasks of an agent could run at once with the hosts there are to be."""
        most = self._adopted.get(agent)
        return most or max(len(self.slots), 1) * self.places[agent]

    def lines(self) -> Iterator[tuple[str, int]]:
        """Yield each agent whose tasks wait here, and how many of them a host could carry.

        Those of an adopted agent wait for it and not for a host: more hosts would not help.
        """
        for agent, places in self.places.items():
            yield agent, (PLENTY if agent in self._adopted else places)

    def free_ward(self) -> Host | None:
        """Return the ward's host when nothing is at work on it.

        A task that waits there for a sub-task is not: it may be that very one that needs it.
        """
        host = self.ward.host if self.ward else None
        return host if host and host.open and not host.in_flight else None

    @property
    def quarantined(self) -> bool:
        """Whether everything runs in the ward for now."""
        return self.quarantined_until > 0

    def open_ward(self) -> None:
        """Have a host for suspects."""
        self._ward_used = self._outfit.clock.monotonic()
        if self.ward is None:
            self.ward = self._slot(WARD, solo=True)
        self.ward.open()

    def quarantine(self) -> None:
        """Run everything in the ward for a while."""
        self.quarantined_until = self._outfit.clock.monotonic() + QUARANTINE
        self.open_ward()

    def wake(self) -> None:
        """Have a host, where there is none because none was needed."""
        if not self.slots:
            self.grow(1)
        elif all(slot.resting for slot in self.slots):
            self.slots[0].open()

    def reopen(self, now: float) -> None:
        """Try again with single hosts that were given up a while ago."""
        for slot in self.slots:
            fine = slot.active or slot.resting or self.quarantined
            if not fine and now > slot.down_since + QUARANTINE:
                slot.window.reset()
                slot.open()

    def ward_surplus(self, *, wanted: bool) -> Slot | None:
        """Take the ward out when it has been of no use for a while."""
        now, ward = self._outfit.clock.monotonic(), self.ward
        rests = ward and ward.host and not ward.host.residents
        if wanted or self.suspects or self.quarantined or (ward and not rests):
            self._ward_used = now
        elif ward and self.free_ward() and now > self._ward_used + WARD_IDLE:
            self.ward = None
            self._leaving.append(ward)
            return ward
        return None

    def absolve(self) -> None:
        """Forget that it was given up, held or quarantined."""
        self.given_up = self.held = False
        self.quarantined_until = 0.0

    def revive(self) -> None:
        """Try again with a group that was given up or quarantined."""
        self.absolve()
        for slot in self.all_slots():
            slot.window.reset()
            slot.open()
        self.grow(self.size.bounds.least)

    def wanted(self, now: float, load: Load) -> int:
        """Return how many hosts there should be."""
        hosts = self.size.decide(now, load, len(self.slots))
        bounds = self.size.bounds
        if now < self._spare_until and bounds.least and all(slot.host for slot in self.slots):
            return max(hosts, min(bounds.least + 1, bounds.most))
        return hosts

    def crashed(self, service: Callable[[str], float]) -> None:
        """Be careful for a while: a host to spare, and fewer tasks at a time on each.

        Args:
            service: Returns the mean seconds a task of an agent takes; 0 for unknown.
        """
        now = self._outfit.clock.monotonic()
        self._spare_until = now + SPARE
        self._careful_until = now + self.group.agents[0].period
        for name, places in self._declared.items():
            seconds = service(name)
            crowd = int(CLEARED / seconds) if seconds else CROWD
            self.places[name] = min(places, max(crowd, CROWD))

    def allow(self, agent: str, places: int) -> None:
        """Set how many tasks of an agent a host may run at a time."""
        self._declared[agent] = self.places[agent] = places

    def calm_down(self, now: float) -> None:
        """Let hosts have their whole crowd again, once no crash was for a while."""
        if self._careful_until and now >= self._careful_until:
            self._careful_until = 0.0
            self.places.update(self._declared)

    def count(self) -> None:
        """Report how the group is."""
        group_is(
            self._outfit.shard,
            self.group.name,
            hosts=sum(slot.host is not None for slot in self.slots),
            wanted=len(self.slots),
            down=self.given_up and not self.held,
            quarantined=self.quarantined,
            running={name: self.running(name) for name in self.places},
        )

    def all_slots(self) -> list[Slot]:
        """Return every slot in start order, the ward last."""
        return [*self.slots, *([self.ward] if self.ward else [])]

    def slots_named(self, name: str | None) -> list[Slot]:
        """Return the slot of that name, or all slots."""
        slots = self.all_slots()
        return [slot for slot in slots if slot.name == name] or slots

    def answers_to(self, name: str | None) -> bool:
        """Tell whether that is its name, an agent's, or a slot's; None means all not held."""
        if name is None:
            return not self.held
        names = (self.group.name, *self.group.names, *(slot.name for slot in self.all_slots()))
        return name in names

    def every_slot(self) -> list[Slot]:
        """Return every slot, those that are being closed last."""
        return [*self.all_slots(), *self._leaving]

    def rows(self) -> list[dict[str, Any]]:
        """Return each slot as `GET /v3/tree` shows it; an empty group has one row, too.

        One that only carries tasks of external agents has none: nobody would know its name.
        """
        rows = [slot.row() for slot in self.every_slot()]
        offered = any(not task.hidden for agent in self.group.agents for task in agent.tasks)
        if not rows and offered:
            rows = [self._slot("0").row()]
        bounds = self.size.bounds
        for row in rows:
            row["pool"] = {"least": bounds.least, "most": bounds.most}
        if self.quarantined:
            for row in rows:
                if row["state"] == "down":
                    row["state"] = "quarantined"
        return rows
