"""One seed: builds its world, lets it happen, and says what was wrong."""

import asyncio
import gc
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog

from actors import pipelines
from cartrita.declare import TaskSpec
from cartrita.errors import CartritaError
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskRequest
from tests.simulator import loop as loops
from tests.simulator.agents import CATALOG
from tests.simulator.checks import Checks
from tests.simulator.clients import Caller
from tests.simulator.faults import Faults
from tests.simulator.loop import SimulationLoop, Stuck
from tests.simulator.scenario import Scenario, probe_id
from tests.simulator.world import World

LIMIT = 900.0
"""Virtual seconds that a world may last."""

REVIVAL = 90.0
"""Seconds after which an agent that was given up works again."""


MOMENTS = 40
"""Half seconds within which everything must come to rest."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed.

    Attributes:
        wrong: What must not be; empty when all is well.
        digest: Of everything that happened, in order.
        lines: The end of the story, or all of it when it was asked for.
        elapsed: Virtual seconds.
    """

    seed: int
    wrong: tuple[str, ...]
    digest: str
    lines: tuple[str, ...]
    elapsed: float

    def __str__(self) -> str:
        told = "\n  ".join(self.wrong)
        return (
            f"seed {self.seed}:\n  {told}\n"
            f"replay: python -m tests.simulator --seed {self.seed} --verbose"
        )


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="sim-", dir="/tmp")


def simulate(seed: int, *, verbose: bool = False) -> Outcome:
    """Run a seed to its end."""
    loop = SimulationLoop(seed, limit=LIMIT, verbose=verbose)
    with _logging_into(loop), _seeded(seed):
        scenario = Scenario.of(seed)
        world = World(
            loop,
            str(seed),
            Path(_folder().name),
            weather=scenario.weather,
            limits=scenario.limits,
            rules=scenario.rules,
        )
        wrong: list[str] = []
        try:
            wrong += loops.run(loop, _happen(world, scenario))
        except Stuck as stuck:
            wrong.append(f"{stuck}\n{_dump(world)}")
        finally:
            loop.trace.closed = True
            for process in world.processes:
                process.alive = False
                process.bury()
            loop.close()
    return Outcome(seed, tuple(wrong), loop.trace.digest(), tuple(loop.trace.lines), loop.elapsed)


async def _happen(world: World, scenario: Scenario) -> list[str]:
    await world.start()
    callers = [Caller(world, ask) for ask in scenario.asks]
    callers += [Caller(world, ask) for ask in scenario.asks if ask.twin]
    asking = [asyncio.create_task(caller.run()) for caller in callers]
    faults = asyncio.create_task(Faults(world).run(scenario.faults))
    await asyncio.wait([faults])
    faults.result()
    world.loop.trace.note("quiet")
    checks = Checks(world, scenario, callers)
    while not checks.settled():
        if checks.late():
            return checks.wrong
        await asyncio.sleep(0.25)
    for task in asking:
        task.result()
    checks.wrong += await _probe(world)
    for _ in range(MOMENTS):
        await asyncio.sleep(0.5)
        if not checks.rest():
            break
    checks.wrong += checks.rest()
    return checks.all() or await _stop(world, checks)


async def _stop(world: World, checks: Checks) -> list[str]:
    """End the tree as an operator does, in good order."""
    head = await world.steady_head()
    world.ending = True
    try:
        await world.call(head.process, lambda: head.orchestrator.stop(1.0), timeout=120.0)
    except CartritaError as error:
        return [f"did not stop: {error.code} {error.message}"]
    await asyncio.sleep(1.0)  # hosts die a little after their supervisor
    return checks.stopped()


async def _probe(world: World) -> list[str]:
    """Have every agent do something: nobody may be left in a state that takes no work."""
    tasks = [spec for spec in CATALOG.tasks.values() if spec.safe]
    found = await asyncio.gather(*(_one_probe(world, spec) for spec in tasks))
    return [wrong for wrong in found if wrong]


async def _one_probe(world: World, spec: TaskSpec) -> str:
    who = Principal("probe", "probe")
    until = world.loop.elapsed + REVIVAL
    heard = ""
    while world.loop.elapsed < until:
        world.probes += 1
        deed = {"deed": "mails" if spec.effects else "quick"}
        request = TaskRequest(task_type=spec.name, parameters=deed, task_id=probe_id(world.probes))
        try:
            answer = await world.gateway.ask(
                lambda door, request=request: door.submit(request, who, wait=True), 60.0
            )
        except CartritaError as error:
            heard = f"{error.code} {error.message}"
        else:
            heard = f"{answer['status']} {answer.get('errorMessage')}"
            if answer["status"] == "COMPLETED":
                return ""
        await asyncio.sleep(2.0)
    return f"{spec.name} does not work any more: {heard}"


@contextmanager
def _logging_into(loop: SimulationLoop) -> Iterator[None]:
    """Have what the program logs become part of the trace."""
    before = structlog.get_config()

    def note(_: Any, level: str, event: dict[str, Any]) -> Any:
        process = loops.current()
        known = [f"{key}={event[key]}" for key in ("shard", "host", "group") if key in event]
        loop.trace.note("log", process.name if process else "-", event["event"], *known)
        raise structlog.DropEvent

    structlog.configure(
        processors=[note],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        structlog.configure(**before)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Have the retries of the workers draw their jitter from the seed."""
    before = pipelines.new_random
    pipelines.new_random = lambda: random.Random(f"{seed} retries")
    try:
        yield
    finally:
        pipelines.new_random = before


def _dump(world: World) -> str:
    """Say what everybody waits for."""
    lines = []
    for process in world.processes:
        if process.alive:
            lines += [f"  {process.name}: {task.get_coro()}" for task in process.living()]
    return "\n".join(lines)
