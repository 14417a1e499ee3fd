"""Fleets of the product whose host processes are the model's."""

from typing import Any, Protocol

from actors.crew import Crew, Outfit
from actors.fleet import Demand, Fleet, Rules
from actors.hosting import Group
from actors.restart import RestartPolicy, RestartWindow
from actors.slot import Host
from benchmarks.nodes.model import World


class Owner(Demand, Protocol):
    """What slots and fleets know of the shard they belong to."""

    name: str
    world: World

    def starts(self, slot: "ModelSlot") -> None:
        """Start a host in a slot."""


class ModelSlot:
    """A place for a host that the model starts and kills; a crew takes it for its own."""

    def __init__(self, name: str, group: Group, shard: Owner, window: RestartWindow) -> None:
        self.name, self.group, self.window = name, group, window
        self.solo = name.endswith("ward")
        self.host: Host | None = None
        self.active = self.resting = False
        self.starts, self.down_since = 0, 0.0
        self._shard = shard

    def open(self) -> None:
        """Start a host, unless there is one."""
        if not self.active:
            self.active = True
            self._shard.starts(self)

    def worked(self) -> None:
        """A suspect ran to its end here."""


class ModelCrew(Crew):
    """A crew whose hosts are the model's."""

    def __init__(self, group: Group, outfit: Outfit, shard: Owner) -> None:
        self._shard = shard
        super().__init__(group, outfit)

    def _slot(self, name: str, *, solo: bool = False) -> Any:
        first, outfit = self.group.agents[0], self._outfit
        policy = RestartPolicy(first.restart, first.intensity, first.period)
        full = f"{outfit.shard}.{self.group.name}.{name}"
        return ModelSlot(full, self.group, self._shard, RestartWindow(policy, outfit.randomness))


class ModelFleet(Fleet):
    """A fleet whose crews are those above, and which the model asks to look at its load."""

    def __init__(self, groups: list[Group], shard: Owner) -> None:
        world, rules = shard.world, Rules()
        nothing: Any = None
        super().__init__(
            shard.name, groups, nothing,
            clock=world.clock, randomness=world.chance, demand=shard, rules=rules,
        )  # fmt: skip
        outfit = Outfit(shard.name, nothing, nothing, world.clock, world.chance, rules.pulse,
                        rules.shrink_after, self, self._identity)  # fmt: skip
        self._outfit = outfit
        self.crews = {group.name: ModelCrew(group, outfit, shard) for group in groups}
        self._crew_of = {name: self.crews[one.name] for one in groups for name in one.names}

    def look(self, now: float) -> int:
        """Let each crew have as many hosts as its load asks for; returns how many crews."""
        for crew in self.crews.values():
            if not crew.given_up:
                self._adjust(crew, now)
        return len(self.crews)

    def _close(self, crew: Crew, slot: Any) -> None:
        if slot.host:
            slot.host.draining = True
        slot.active = False
        self.leave(crew, slot)

    def leave(self, crew: Crew, slot: Any) -> None:
        """Let a slot go that was closed, once nothing is at work on its host."""
        if slot in crew.every_slot() and not (slot.host and slot.host.residents):
            slot.host = None
            crew.left(slot)

    def spec(self, slot: ModelSlot) -> Any:
        """Return what a host of a slot is started with."""
        slot.starts += 1
        return self.crews[slot.group.name]._spec(f"{slot.name}.{slot.starts}")  # noqa: SLF001
