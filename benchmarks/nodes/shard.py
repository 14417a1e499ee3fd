"""One shard: what a supervisor does around the decisions, and how its processes die."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any

from actors.admission import Admission, Work
from actors.fleet import TICK
from actors.hosting import Group, Limits, team_of
from actors.slot import Host
from benchmarks.nodes.fleet import ModelFleet, ModelSlot
from benchmarks.nodes.model import Task, World
from cartrita.errors import QueueFull, TaskTimeout


@dataclass(slots=True, eq=False)
class Run:
    """An attempt of a task on a host."""

    task: Task
    host: Host
    alive: bool = True


class Shard:
    """One supervisor: what its data plane does around the decisions."""

    def __init__(self, name: str, node: int, world: World) -> None:
        self.name, self.node, self.world = name, node, world
        self.groups = world.groups[team_of(name)]
        self.busy = 0.0
        self.tasks: dict[str, Task] = {}
        self.life = 0
        self._up()

    def _up(self) -> None:
        self.away = False
        self.admission = Admission(Limits(1000, self.world.terms.places), self.world.clock)
        self.arriving = self.running = 0
        self.runs: dict[Host, dict[Run, None]] = {}
        self.fleet: ModelFleet | None = None
        fleet = ModelFleet(self.groups, self)
        self.fleet = fleet
        for crew in fleet.crews.values():
            crew.start()
        self.later(TICK * self.world.chance.random(), self._tick)

    def later(self, seconds: float, what: Callable[..., None], *args: Any) -> None:
        """Do something after a while, unless the supervisor died meanwhile."""
        life = self.life
        self.world.at(seconds, lambda: what(*args) if self.life == life else None)

    def _tick(self) -> None:
        assert self.fleet
        began = perf_counter_ns()
        looked = self.fleet.look(self.world.clock.time)
        self.world.timer.add("pool", began, looked)
        self.later(TICK, self._tick)

    # What a fleet asks of its supervisor.

    def waiting(self, agent: str) -> int:
        """Return how many tasks wait for a host, as a supervisor does."""
        idle = self.world.terms.places - self.running
        return min(self.admission.mailbox.depth(agent), max(idle, 1))

    def service(self, agent: str) -> float:
        """Return the mean seconds of an agent's tasks."""
        return self.admission.agents.service(agent)

    def give_up(self, group: Group, *, quarantined: bool) -> None:
        """Count it: hosts of a group die too often."""
        self.world.count["given up"] += 1

    def relieved(self) -> None:
        """A group is tried again."""

    def submit(self, task: Task) -> None:
        """Admit a task, or have its caller come again."""
        world, admission, agent = self.world, self.admission, task.kind.agent
        if self.away:
            self._again(task, 1.0)
            return
        assert self.fleet
        began, refusal = perf_counter_ns(), None
        try:
            task.weight = admission.weigh(task.record)
            work = Work(self.arriving, self.running, 0, self.fleet.capacity(agent))
            admission.check(task.record, agent, task.weight, work)
        except (QueueFull, TaskTimeout) as error:
            refusal = error
        world.timer.add("admit", began)
        if refusal:
            world.count["refused"] += 1
            self._again(task, refusal.retry_after or 1.0)
            return
        self.arriving += 1
        self.later(world.terms.commit, self._accepted, task)
        # What is durable outlives the supervisor; the model has it so from here on.
        task.record.accepted_at = world.clock.time
        self.tasks[task.record.task_id] = task

    def _again(self, task: Task, seconds: float) -> None:
        """Have a caller come again when it was told to."""
        count = self.world.count
        count["coming"] += 1

        def come() -> None:
            count["coming"] -= 1
            self.submit(task)

        self.world.at(seconds, come)

    def _accepted(self, task: Task) -> None:
        self.arriving -= 1
        self._queue(task)
        self.dispatch()

    def _queue(self, task: Task) -> None:
        began = perf_counter_ns()
        entry = self.admission.entry(task.record, task.kind.agent, task.weight)
        self.admission.mailbox.push(entry, force=True)
        if self.fleet:
            self.fleet.wake(task.kind.agent)
        self.world.timer.add("queue", began)

    def dispatch(self) -> None:
        """Give waiting tasks to free hosts, as `Supervisor.dispatch` does."""
        fleet, mailbox, bound = self.fleet, self.admission.mailbox, self.world.terms.places
        if fleet is None:
            return
        begun: list[tuple[str, Host]] = []
        began = perf_counter_ns()
        while self.running < bound:
            alone = fleet.suspect()
            if alone is None:
                break
            fleet.confine(alone[1], self.tasks[alone[0]].kind.agent, alone[0])
            self.running += 1
            begun.append(alone)
        while len(mailbox) and self.running < bound:
            entry = mailbox.pop(fleet.ready())
            if entry is None:
                break
            begun.append((entry.task_id, fleet.acquire(entry.agent)))
            self.running += 1
        self.admission.dispatched()
        self.world.timer.add("start", began, len(begun))
        for task_id, host in begun:
            self._begin(self.tasks[task_id], host)

    def _begin(self, task: Task, host: Host) -> None:
        run = Run(task, host)
        self.runs.setdefault(host, {})[run] = None  # in order: a set of objects has none
        if not task.attempt:
            self.world.waited(task)
        task.attempt += 1
        self.later(task.seconds, self._ended, run)

    def _ended(self, run: Run) -> None:
        if not run.alive:
            return
        fleet, task = self.fleet, run.task
        assert fleet
        began = perf_counter_ns()
        fleet.release(run.host, task.kind.agent)
        self.admission.ended(task.record, task.kind.agent, task.weight, task.seconds)
        fleet.worked(task.kind.agent)
        self.world.timer.add("end", began)
        self.running -= 1
        self.runs[run.host].pop(run, None)
        del self.tasks[task.record.task_id]
        self.world.ended(task, self.node)
        if self.world.warm:
            self.busy += task.seconds
        if run.host.draining:
            crew = fleet.crews[run.host.group.name]
            for slot in [one for one in crew.every_slot() if one.host is run.host]:
                fleet.leave(crew, slot)
        self.dispatch()

    def starts(self, slot: ModelSlot) -> None:
        """Start a host in a slot."""
        self.later(self.world.terms.host_start, self.host_started, slot)

    def host_started(self, slot: ModelSlot) -> None:
        """Have a host in a slot."""
        if not slot.active or self.fleet is None:
            return
        channel: Any = SimpleNamespace(closed=SimpleNamespace(done=lambda: False))
        nothing: Any = None
        host = Host(self.fleet.spec(slot), slot.group, nothing, channel, nothing, solo=slot.solo)
        slot.host = host
        self.later(self.world.chance.expovariate(1 / self.world.terms.host_life),
                   self._host_dies, slot, host)  # fmt: skip
        self.fleet.host_up(slot)  # type: ignore[arg-type]

    def _host_dies(self, slot: Any, host: Host) -> None:
        if slot.host is not host or self.fleet is None or self.world.calm:
            return
        world, fleet = self.world, self.fleet
        world.count["host deaths"] += 1
        host.lose()
        slot.host = None
        if not slot.active:  # it was being closed, and is gone now
            fleet.leave(fleet.crews[slot.group.name], slot)
        fleet.host_lost(slot)
        for run in self.runs.pop(host, ()):
            run.alive = False
            fleet.release(host, run.task.kind.agent)
            self.running -= 1
            fleet.add_suspect(run.task.record.task_id, run.task.kind.agent)
        if slot.active:
            began = perf_counter_ns()
            delay = slot.window.died(world.clock.time)
            if delay is None:
                slot.active, slot.down_since = False, world.clock.time
                fleet.slot_given_up(slot, host)
            else:
                fleet.slot_restarts(slot, host)
                self.later(delay + world.terms.host_start, self.host_started, slot)
            world.timer.add("restart", began)
        self.dispatch()

    def dies(self) -> None:
        """Lose the supervisor with its hosts; the journal keeps what was accepted."""
        self.away, self.fleet = True, None
        self.life += 1
        self.world.at(self.world.terms.node_away, self.revived)

    def revived(self) -> None:
        """Take up, on another node, what had not ended."""
        self.node = self.world.some_node()
        self._up()
        for task in list(self.tasks.values()):
            self.world.count["taken up"] += 1
            task.weight = self.admission.weigh(task.record)
            self._queue(task)
        self.dispatch()
