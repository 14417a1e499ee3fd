"""The order in which waiting tasks run. Pure: no clock, no I/O.

Higher priority first. Within a priority, tenants share by start-time fair queueing (Goyal,
Vin, Cheng 1996): each task carries a virtual start that grows with what its tenant was
already given, so a tenant that floods waits behind itself. Each priority has a virtual time
of its own, or the few urgent tasks of one tenant would put the ordinary ones of all others
behind its flood. And one task in `ageing` is of the priority whose next one has waited
longest, so that no priority starves: behind n that are older, the next of one runs after at
most `ageing` * (n + 1) others. Within a priority age counts for nothing, or a flood, which is
older than whoever comes after it, would be given what is its neighbours'.

Who may wait at all is decided by the free room: a tenant may hold at most `SHARE` times of it
(dynamic thresholds: Choudhury, Hahne 1998), so one that floods leaves room for the others.
"""

import heapq
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from cartrita.errors import QueueFull

PRIORITIES = 11
"""0 to 10."""

AGEING = 20
"""One task in so many is of the oldest priority: 5 % for the lowest under a flood of others."""

SHARE = 9
"""Times the free room that a tenant may hold: 9/10 of the bound for one that is alone, and
all of it where the bound is under 10."""


@dataclass(slots=True, eq=False)
class Entry:
    """One waiting task.

    Attributes:
        weight: What it will cost in service time, in any one unit; more is charged to its
            tenant.
    """

    task_id: str
    agent: str
    tenant: str
    priority: int = 5
    weight: float = 1.0
    start: float = 0.0
    sequence: int = 0
    waiting: bool = True


@dataclass(slots=True)
class _Tenant:
    """What waits of one tenant.

    Attributes:
        last: The virtual start of the latest of each priority, which the next must not precede.
    """

    held: int = 0
    last: dict[int, float] = field(default_factory=dict)


class _Lane:
    """The waiting tasks of one agent."""

    def __init__(self) -> None:
        self.levels: list[list[tuple[float, int, Entry]]] = [[] for _ in range(PRIORITIES)]
        self.size = 0
        self.kept = 0  # those that left before their turn, too
        self.weight = 0.0

    def push(self, entry: Entry) -> None:
        heapq.heappush(self.levels[entry.priority], (entry.start, entry.sequence, entry))
        self.size += 1
        self.kept += 1
        self.weight += entry.weight

    def leave(self, entry: Entry) -> None:
        """Note that an entry does not wait any more."""
        entry.waiting = False
        self.size -= 1
        self.weight = self.weight - entry.weight if self.size else 0.0  # sums of floats drift
        self._compact()

    def before(self, priority: int, start: float) -> float:
        """Return the weight of what would run before a newcomer with that virtual start."""
        return sum(
            entry.weight
            for level, entries in enumerate(self.levels[priority:], priority)
            for first, _, entry in entries
            if entry.waiting and (level > priority or first <= start)
        )

    def first(self, priority: int) -> Entry | None:
        """Return the entry of a priority that runs next by fairness."""
        level = self.levels[priority]
        while level and not level[0][2].waiting:
            heapq.heappop(level)
            self.kept -= 1
        return level[0][2] if level else None

    def _compact(self) -> None:
        """Forget entries that left, once they outnumber those that wait."""
        if self.kept > 2 * self.size + 64:
            self.kept = self.size
            for level in self.levels:
                level[:] = [item for item in level if item[2].waiting]
                heapq.heapify(level)


class Mailbox:
    """A bounded queue of tasks for the agents of one supervisor.

    Args:
        bound: The most tasks that may wait. It may change; what waits already stays.
        ageing: One pop in so many takes of the priority whose next has waited longest.
    """

    def __init__(self, bound: int = 1000, ageing: int = AGEING) -> None:
        self.bound, self._ageing = bound, ageing
        self._entries: dict[str, Entry] = {}
        self._lanes: dict[str, _Lane] = {}
        self._tenants: dict[str, _Tenant] = {}
        self._weight = 0.0
        self._virtual = [0.0] * PRIORITIES
        self._finish: list[dict[str, float]] = [{} for _ in range(PRIORITIES)]
        self._sequence = 0
        self._pops = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def total_weight(self) -> float:
        """The weight of everything that waits."""
        return self._weight

    def agents(self) -> list[str]:
        """Return those for whom tasks wait."""
        return [agent for agent, lane in self._lanes.items() if lane.size]

    def depth(self, agent: str) -> int:
        """Return how many tasks wait for an agent."""
        lane = self._lanes.get(agent)
        return lane.size if lane else 0

    def weight_of(self, agent: str) -> float:
        """Return the weight of all that waits for an agent: the most that `ahead` can be."""
        lane = self._lanes.get(agent)
        return lane.weight if lane else 0.0

    def held(self, tenant: str) -> int:
        """Return how many tasks of a tenant wait."""
        mine = self._tenants.get(tenant)
        return mine.held if mine else 0

    def room(self, tenant: str) -> int:
        """Return how many more of a tenant may wait."""
        free = self.bound - len(self._entries)
        return max(0, math.ceil((SHARE * free - self.held(tenant)) / (SHARE + 1)))

    def room_for(self, tenant: str) -> bool:
        """Return whether one more of a tenant may wait."""
        return self.room(tenant) > 0

    def ahead(self, entry: Entry) -> float:
        """Return the weight of what would run before a task if it were pushed now.

        Ageing is ignored, and so are the tasks of other agents. Looks at all that waits for
        its agent; `weight_of` is the bound that costs nothing.
        """
        lane = self._lanes.get(entry.agent)
        return lane.before(entry.priority, self._place(entry, lane)[1]) if lane else 0.0

    def push(self, entry: Entry, *, force: bool = False) -> None:
        """Add a task at the end of its tenant's share.

        Args:
            entry: The task.
            force: Accept it over the bound, because it was accepted before.

        Raises:
            QueueFull: `bound` tasks wait already, or the tenant holds its share.
        """
        if not (force or self.room_for(entry.tenant)):
            raise self._full(entry.tenant)
        assert entry.task_id not in self._entries, f"{entry.task_id!r} waits already"
        self._sequence += 1
        entry.sequence, entry.waiting = self._sequence, True
        lane = self._lanes.get(entry.agent)
        if lane is None:
            lane = self._lanes[entry.agent] = _Lane()
        debt, entry.start = self._place(entry, lane)
        self._finish[entry.priority][entry.tenant] = debt + max(entry.weight, 1e-9)
        self._entries[entry.task_id] = entry
        tenant = self._tenants.get(entry.tenant)
        if tenant is None:
            tenant = self._tenants[entry.tenant] = _Tenant()
        tenant.held += 1
        tenant.last[entry.priority] = entry.start
        self._weight += entry.weight
        lane.push(entry)

    def _place(self, entry: Entry, lane: _Lane) -> tuple[float, float]:
        """Return what the tenant owes, in virtual time, and the virtual start of its next task."""
        # In a lane that was held up, virtual time has run ahead of those who wait.
        first = lane.first(entry.priority)
        now = self._virtual[entry.priority]
        debt = max(
            now if first is None else min(now, first.start),
            self._finish[entry.priority].get(entry.tenant, 0.0),
        )
        mine = self._tenants.get(entry.tenant)
        # A tenant that was given something back does not overtake itself.
        return debt, max(debt, mine.last.get(entry.priority, 0.0)) if mine else debt

    def _full(self, tenant: str) -> QueueFull:
        if len(self._entries) >= self.bound:
            return QueueFull(f"{self.bound} tasks wait already.")
        return QueueFull(f"{self.held(tenant)} tasks of tenant {tenant!r} wait already.")

    def charge(self, tenant: str, priority: int, difference: float) -> None:
        """Correct what a tenant owes, once the cost of one of its tasks is known.

        Tasks that wait keep their places; the correction moves those that come later. Nobody is
        given more back than puts it level with the others.

        Args:
            tenant: Whose task it was.
            priority: The task's.
            difference: What it cost more than its `weight` said; less when negative.
        """
        if not self._entries:  # nobody waits behind it
            return
        now = self._virtual[priority]
        debt = self._finish[priority].get(tenant, now)
        self._finish[priority][tenant] = max(min(debt, now), debt + difference)

    def remove(self, task_id: str) -> Entry | None:
        """Take a task out wherever it stands; None when it does not wait."""
        entry = self._entries.pop(task_id, None)
        if entry is not None:
            self._leave(entry)
        return entry

    def pop(self, ready: Collection[str]) -> Entry | None:
        """Take the next task whose agent is one of `ready`."""
        lanes = [self._lanes[agent] for agent in ready if agent in self._lanes]
        firsts = _firsts([lane for lane in lanes if lane.size])
        if (self._pops + 1) % self._ageing == 0:
            entry = min(firsts, key=_age, default=None)
        else:
            entry = next(firsts, None)
        if entry is None:
            return None
        self._pops += 1
        del self._entries[entry.task_id]
        self._leave(entry)
        level = entry.priority
        self._virtual[level] = max(self._virtual[level], entry.start)
        return entry

    def _leave(self, entry: Entry) -> None:
        self._lanes[entry.agent].leave(entry)
        self._weight = self._weight - entry.weight if self._entries else 0.0
        tenant = self._tenants[entry.tenant]
        tenant.held -= 1
        if not tenant.held:
            del self._tenants[entry.tenant]
        if not self._entries:  # nobody waited behind anybody: all debts are paid
            for finish in self._finish:
                finish.clear()
        elif len(self._finish[entry.priority]) > 2 * max(self.bound, len(self._entries)):
            self._forgive(entry.priority)

    def _forgive(self, priority: int) -> None:
        """Forget the debts of tenants with nothing waiting: there may be any number of them."""
        waiting = {one.tenant for one in self._entries.values() if one.priority == priority}
        debts = self._finish[priority]
        self._finish[priority] = {who: debts[who] for who in waiting}


def _firsts(lanes: list[_Lane]) -> Iterator[Entry]:
    """Yield the entry of each priority that runs next, of whichever agent; the highest first."""
    for priority in reversed(range(PRIORITIES)):
        found = [lane.first(priority) for lane in lanes if lane.levels[priority]]
        if entries := [entry for entry in found if entry]:
            yield entries[0] if len(entries) == 1 else min(entries, key=_turn)


def _turn(entry: Entry) -> tuple[float, int]:
    return (entry.start, entry.sequence)


def _age(entry: Entry) -> int:
    return entry.sequence
