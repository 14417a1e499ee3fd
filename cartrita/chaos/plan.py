"""What a run will do and when, told by its seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate, cycle, islice
from random import Random


class Kind(StrEnum):
    """What can be hit."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"
    ORCHESTRATOR = "orchestrator"
    GATEWAY = "gateway"
    CONTROLLER = "controller"
    PROXY = "proxy"
    HAPROXY = "haproxy"
    EDGE = "edge"
    POSTGRES = "postgres"
    VALKEY = "valkey"
    GCS = "gcs"
    RAYLET = "raylet"
    POWER = "power"
    """Everything at once, the owner included; it is started again afterwards."""


SINGLE = tuple(kind.value for kind in Kind if kind is not Kind.POWER)
"""What can be hit without the rest."""


class Action(StrEnum):
    """How it is hit: SIGKILL, or SIGSTOP and after a while SIGCONT."""

    KILL = "kill"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is done to the instance.

    Attributes:
        at: Seconds after the load began.
        chance: Which of several processes of the kind, as a share of them: 0 ≤ chance < 1.
    """

    at: float
    kind: Kind
    action: Action
    chance: float


@dataclass(frozen=True, slots=True)
class Aim:
    """What a run is to do.

    Attributes:
        tasks: How many there will be.
        rate: Tasks that arrive in a second, at random.
        every: Seconds between two faults.
        hold: Seconds for which a pause lasts.
        power_cut: Kill everything at once when half of the tasks have come, and nothing else.
        streams: How many tasks are followed by their events all along.
        work: Seconds that a task works when nothing is broken.
        stream_work: The same for one that is followed: it should still run when a fault comes.
    """

    kills: tuple[Kind, ...] = ()
    pauses: tuple[Kind, ...] = ()
    power_cut: bool = False
    tasks: int = 200
    rate: float = 50.0
    every: float = 2.0
    hold: float = 30.0
    streams: int = 0
    work: float = 0.04
    stream_work: float = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, before it runs.

    Attributes:
        arrivals: When each task comes, in seconds after the load began.
        followed: Which of them have their events followed.
    """

    seed: int
    arrivals: tuple[float, ...]
    faults: tuple[Fault, ...]
    followed: frozenset[int] = field(default_factory=frozenset)


def plan(aim: Aim, seed: int) -> Plan:
    """Return the run that a seed stands for: the same for the same aim, always."""
    arriving, hitting = Random(f"{seed} tasks"), Random(f"{seed} faults")  # noqa: S311 - a plan
    gaps = (arriving.expovariate(aim.rate) for _ in range(aim.tasks))
    arrivals = tuple(accumulate(gaps))
    followed = frozenset(arriving.sample(range(aim.tasks), min(aim.streams, aim.tasks)))
    end = arrivals[-1] if arrivals else 0.0
    return Plan(seed, arrivals, _faults(aim, end, hitting), followed)


def _faults(aim: Aim, end: float, chance: Random) -> tuple[Fault, ...]:
    """Spread the faults over the load: each kind once at least, and all equally often."""
    if aim.power_cut:
        return (Fault(end / 2, Kind.POWER, Action.KILL, 0.0),)
    hits = [(kind, Action.KILL) for kind in aim.kills]
    hits += [(kind, Action.PAUSE) for kind in aim.pauses]
    if not hits:
        return ()
    chance.shuffle(hits)
    count = max(int(end / aim.every), len(hits))
    step = end / (count + 1)
    return tuple(
        Fault(step * (place + chance.uniform(0.6, 1.4)), kind, action, chance.random())
        for place, (kind, action) in enumerate(islice(cycle(hits), count))
    )


def kinds(names: Sequence[str]) -> tuple[Kind, ...]:
    """Return the kinds that names stand for, each once.

    Raises:
        ValueError: One is not the name of a kind that can be hit alone.
    """
    for name in names:
        if name not in SINGLE:
            raise ValueError(f"{name!r} is none of {', '.join(SINGLE)}")
    return tuple(dict.fromkeys(Kind(name) for name in names))
