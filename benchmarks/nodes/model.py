"""What the model assumes, its time, and what it counts."""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns

from actors.hosting import groups_of
from benchmarks.service_times import ServiceTime
from cartrita.catalog import Catalog
from cartrita.declare import Team
from cartrita.journal import TaskRecord

TEAMS: tuple[Team, ...] = ("intelligence", "system")
"""The third has no agents of its own."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the model assumes.

    Attributes:
        load: Share of the places of the busiest team that callers ask for.
        places: Tasks that a shard runs at a time: as many as a node has cores.
        users: Per node; each asks at a rate of its own (log-normal).
        per_tenant: Users of one tenant.
        commit: Seconds until an admission is durable.
        host_start: Seconds.
        host_life: Mean seconds until a host crashes.
        node_life: Mean seconds until a node dies without a word.
        node_away: Seconds until it is noticed and its supervisors run elsewhere.
        warm: Seconds before anything is counted.
    """

    load: float = 0.5
    places: int = 2
    users: int = 100
    per_tenant: int = 4
    commit: float = 0.002
    host_start: float = 2.2
    host_life: float = 3600.0
    node_life: float = 6000.0
    node_away: float = 24.0
    warm: float = 10.0


class Clock:
    """The model's time, for the product to read."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        """Return it."""
        return self.time

    def monotonic(self) -> float:
        """Return it."""
        return self.time


class Timer:
    """What the product's decisions took, by kind."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self.made: Counter[str] = Counter()

    def add(self, kind: str, began: int, made: int = 1) -> None:
        """Count decisions that began at a reading of the clock and end now."""
        self.spent[kind] += perf_counter_ns() - began
        self.made[kind] += made


@dataclass(slots=True, eq=False)
class Task:
    """One task."""

    record: TaskRecord
    kind: ServiceTime
    seconds: float
    weight: float = 0.0
    attempt: int = 0
    counted: bool = False


class World:
    """Time, and what all nodes have in common.

    Attributes:
        waits: Seconds from a task's acceptance to its first start.
        living: The nodes that have not died.
        busy: Seconds of work done on each node.
        calm: Nobody comes, and nothing dies, any more.
    """

    def __init__(self, nodes: int, catalog: Catalog, terms: Terms, seed: int) -> None:
        self.terms, self.chance, self.clock = terms, random.Random(seed), Clock()
        self.timer, self.count = Timer(), Counter[str]()
        self.groups = {team: groups_of(catalog.team(team)) for team in TEAMS}
        self.waits: list[float] = []
        self.living, self.busy = list(range(nodes)), [0.0] * nodes
        self.calm = False
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._number = 0

    def at(self, seconds: float, what: Callable[[], object]) -> None:
        """Do something after a while."""
        self._number += 1
        heapq.heappush(self._events, (self.clock.time + seconds, self._number, what))

    def run(self, until: float) -> None:
        """Let time pass."""
        events, clock = self._events, self.clock
        while events and events[0][0] <= until:
            clock.time, _, what = heapq.heappop(events)
            what()
        clock.time = until

    @property
    def warm(self) -> bool:
        """Whether what happens counts."""
        return self.clock.time >= self.terms.warm

    def some_node(self) -> int:
        """Return a living node."""
        return self.chance.choice(self.living)

    def waited(self, task: Task) -> None:
        """Note that a task starts for the first time."""
        if self.warm:
            self.waits.append(self.clock.time - task.record.accepted_at)

    def ended(self, task: Task, node: int) -> None:
        """Note that a task has ended on a node."""
        self.count["ended"] += 1
        if self.warm:
            self.busy[node] += task.seconds
