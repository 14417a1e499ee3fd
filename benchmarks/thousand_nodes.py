"""How well do the tree's decisions hold on a thousand nodes?

    python -m benchmarks.thousand_nodes [--nodes 1 10 100 1000] [--seconds 60]
    python -m benchmarks.thousand_nodes --record

One process simulates the nodes; `benchmarks/nodes` says which part of it is the product's code
and which the model's. Each node begins with one supervisor of each team. Callers arrive at
random (Poisson), each user at a rate of its own; hosts crash, nodes die and their supervisors
go on elsewhere. Seeded: the same again, but for how long decisions take.

`--record` runs an instance and saves how long its tasks are at work, which the model draws from.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from rich.console import Console
from rich.table import Table

from actors.hosting import RouteTable, shard_name
from actors.routes import Routes
from benchmarks.harness import save
from benchmarks.nodes.model import TEAMS, Task, Terms, World
from benchmarks.nodes.shard import Shard
from benchmarks.service_times import ServiceTime, record, recorded
from cartrita.catalog import AGENTS, Catalog, discover
from cartrita.journal import TaskRecord
from cartrita.protocol.principal import Principal, Role

Kinds = Sequence[tuple[ServiceTime, float]]
DEADLINE = 3600.0
"""Seconds a task has: nobody gives up before the simulation ends."""

DRAIN = 120.0
"""Seconds after which what has not ended is lost."""

LEAST = 20_000
"""Tasks of a simulation, at least: one of few nodes goes on for longer."""


class Directory:
    """Tells doors of every shard."""

    def __init__(self, nodes: int) -> None:
        teams = dict.fromkeys(TEAMS, nodes)
        names = [shard_name(team, number) for team in TEAMS for number in range(nodes)]
        self._table = RouteTable(1, "model", teams, dict.fromkeys(names, ""))

    async def routes(self) -> RouteTable:
        """Return the table."""
        return self._table

    async def locate(self, shard: str) -> str:
        """Return where a shard is."""
        return self._table.addresses[shard]


class Callers:
    """Users that ask at random, each at a rate of its own."""

    def __init__(self, nodes: int, kinds: Kinds, world: World, shards: dict[str, Shard]) -> None:
        self._world, self._shards = world, shards
        self._kinds = [kind for kind, _ in kinds]
        self._shares = list(accumulate(share for _, share in kinds))
        terms, chance = world.terms, world.chance
        users = [f"user-{number}" for number in range(nodes * terms.users)]
        self._users = [
            Principal(user, f"tenant-{number // terms.per_tenant}", Role.USER)
            for number, user in enumerate(users)
        ]
        self._rates = list(accumulate(chance.lognormvariate(0.0, 1.0) for _ in users))
        self._routes = Routes(Directory(nodes), "model")
        self.rate, self.asked = nodes * rate_of_node(kinds, terms), 0

    def begin(self) -> None:
        """Let the first come."""
        self._world.at(self._world.chance.expovariate(self.rate), self._comes)

    def _comes(self) -> None:
        world = self._world
        if world.calm:
            return
        world.at(world.chance.expovariate(self.rate), self._comes)
        (kind,) = world.chance.choices(self._kinds, cum_weights=self._shares)
        (who,) = world.chance.choices(self._users, cum_weights=self._rates)
        self.asked += 1
        began = time.perf_counter_ns()
        shard = answer(self._routes.shard_of(kind.team, who.user))
        world.timer.add("route", began)
        now = world.clock.time
        record = TaskRecord(f"task-{self.asked}", kind.task_type, {}, who, b"", now, now + DEADLINE)
        self._shards[shard].submit(Task(record, kind, kind.draw(world.chance)))


def answer(coroutine: Any) -> Any:
    """Return what a coroutine returns that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("It waits for something.")


def rate_of_node(kinds: Kinds, terms: Terms) -> float:
    """Return the tasks a second per node at which the busiest team has its load."""
    work = {team: sum(one.mean * share for one, share in kinds if one.team == team)
            for team in TEAMS}  # fmt: skip
    return terms.load * terms.places / max(work.values())


def dying(world: World, shards: dict[str, Shard]) -> None:
    """Have nodes die, now and for as long as more than one lives."""

    def die() -> None:
        if world.calm:
            return
        dying(world, shards)
        if len(world.living) > 1:
            node = world.some_node()
            world.living.remove(node)
            world.count["node deaths"] += 1
            for shard in [one for one in shards.values() if one.node == node and not one.away]:
                shard.dies()

    world.at(world.chance.expovariate(len(world.busy) / world.terms.node_life), die)


def simulate(
    nodes: int, kinds: Kinds, catalog: Catalog, terms: Terms, seconds: float, seed: int
) -> dict[str, Any]:
    """Simulate so many nodes, and return the figures."""
    world = World(nodes, catalog, terms, seed)
    names = [shard_name(team, node) for team in TEAMS for node in range(nodes)]
    shards = {name: Shard(name, int(name.partition("/")[2]), world) for name in names}
    callers = Callers(nodes, kinds, world, shards)
    world.at(terms.host_start, callers.begin)
    dying(world, shards)
    gc.collect()
    gc.freeze()  # no supervisor has the heap of a thousand to look through
    began, cpu = time.perf_counter(), time.process_time()
    world.run(terms.warm + max(seconds, LEAST / callers.rate))
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    gc.unfreeze()
    busiest = max(TEAMS, key=lambda team: sum(shards[f"{team}/{n}"].busy for n in range(nodes)))
    found = {
        "nodes": nodes,
        "shards": len(shards),
        "seconds": round(world.clock.time, 1),
        "tasks": callers.asked,
        "tasks_per_s": round(callers.rate, 1),
        **decisions(world, wall, cpu),
        "imbalance": {
            "shards": uneven([shards[f"{busiest}/{number}"].busy for number in range(nodes)]),
            "nodes": uneven([world.busy[node] for node in world.living]),
        },
        "wait_ms": waits(world.waits),
        "refused": world.count["refused"],
        "host_deaths": world.count["host deaths"],
        "groups_given_up": world.count["given up"],
        "node_deaths": world.count["node deaths"],
        "taken_up": world.count["taken up"],
        "ended": world.count["ended"],
        "simulation_wall_s": round(wall, 1),
    }
    drain(world, callers.asked)
    return {**found, "lost": callers.asked - world.count["ended"]}


def drain(world: World, asked: int) -> None:
    """Let everything end that was asked for; nobody comes and nothing dies any more."""
    world.calm, until = True, world.clock.time + DRAIN
    while world.count["ended"] < asked and world.clock.time < until:
        world.run(world.clock.time + 1.0)


def decisions(world: World, wall: float, cpu: float) -> dict[str, Any]:
    """Return what the product's decisions took; CPU as they have part in the whole's."""
    spent, made = world.timer.spent, world.timer.made
    whole, count = sum(spent.values()) / 1e9, sum(made.values())
    return {
        "decisions": count,
        "decisions_per_s": round(count / whole),
        "wall_us": round(1e6 * whole / count, 2),
        "cpu_us": round(1e6 * whole / count * min(cpu / wall, 1.0), 2),
        "us_per_task": round(1e6 * whole / max(world.count["ended"], 1), 1),
        "us_by": {kind: round(spent[kind] / made[kind] / 1000, 2) for kind in sorted(made)},
        "made": dict(sorted(made.items())),
    }


def uneven(loads: Sequence[float]) -> dict[str, float]:
    """Return how unevenly work is spread."""
    mean = statistics.fmean(loads)
    return {
        "max_over_mean": round(max(loads) / mean, 2),
        "cv": round(statistics.pstdev(loads) / mean, 3),
    }


def waits(seconds: Sequence[float]) -> dict[str, float]:
    """Return percentiles of what tasks waited, in milliseconds of simulated time."""
    ordered = sorted(seconds)
    return {
        name: round(1000 * ordered[min(int(len(ordered) * part), len(ordered) - 1)], 1)
        for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999))
    }


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table."""
    table = Table("nodes", "tasks", "decisions/s", "µs", "shards max/mean", "CV", "wait p50 ms",
                  "p99", "refused", "deaths of nodes", "took s")  # fmt: skip
    for row in rows:
        shards, wait = row["imbalance"]["shards"], row["wait_ms"]
        table.add_row(
            *(str(value) for value in (
                row["nodes"], row["tasks"], row["decisions_per_s"], row["wall_us"],
                shards["max_over_mean"], shards["cv"], wait["p50"], wait["p99"],
                row["refused"], row["node_deaths"], row["simulation_wall_s"],
            ))
        )  # fmt: skip
    Console(width=120).print(table)
    Console(width=120).print("µs by kind, of the most nodes:", rows[-1]["us_by"])


def main() -> None:
    """Simulate and save, or record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 10, 100, 1000])
    parser.add_argument("--seconds", type=float, default=60, help="of simulated time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true", help="record service times instead")
    parser.add_argument("--record-seconds", type=float, default=1.2, help="for each task type")
    chosen = parser.parse_args()
    if chosen.record:
        record(chosen.record_seconds)
        return
    kinds, catalog, terms = recorded(), discover(AGENTS), Terms()
    rows = []
    for nodes in chosen.nodes:
        rows.append(simulate(nodes, kinds, catalog, terms, chosen.seconds, chosen.seed))
        show(rows[-1:])
    show(rows)
    model = {name: getattr(terms, name) for name in Terms.__slots__}
    save("thousand_nodes", {"seed": chosen.seed, "model": model, "results": rows})


if __name__ == "__main__":
    main()
