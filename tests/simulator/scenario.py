"""What clients ask for and what breaks: all of it follows from one seed."""

import random
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from actors.fleet import Rules
from actors.hosting import Limits
from cartrita.protocol.task import Delivery
from tests.simulator.agents import Deed
from tests.simulator.network import Weather

FaultKind = Literal[
    "kill host",
    "kill supervisor",
    "kill orchestrator",
    "kill gateway",
    "cut",
    "stall",
    "outage",
    "pause",
    "drag",
    "restart",
    "scale",
]

FAULTS: tuple[FaultKind, ...] = (
    "kill host",
    "kill supervisor",
    "kill orchestrator",
    "kill gateway",
    "cut",
    "stall",
    "outage",
    "pause",
    "drag",
    "restart",
    "scale",
)

GENTLE: tuple[Deed, ...] = ("quick", "quick", "slow", "fails", "talks", "calls")
HARSH: tuple[Deed, ...] = ("poison", "wedge", "stubborn", "offline")
MAIL: tuple[Deed, ...] = ("mails", "mails", "mails", "bounces", "static")
MAIL_TYPES = ("post.traced", "post.traced", "post.blind")
TYPES = ("steady.twice", "steady.once", "mate.twice", "frail.twice", "frail.once", "sleepy.twice")


@dataclass(frozen=True, slots=True)
class Ask:
    """One task that a client wants done.

    Attributes:
        at: Virtual seconds at which it asks.
        until: The deed is done on attempts up to this one.
        wait: It holds the request until the end; otherwise it asks how the task stands.
        twin: Somebody else asks for the same task id at about the same time.
        follows: Seconds after which somebody begins to read its events, to their end.
        leaves: Seconds after which it hangs up for good.
        cancels: Seconds after which it cancels the task.
    """

    at: float
    task_id: str
    task_type: str
    deed: Deed
    seconds: float
    until: int
    user: str
    priority: int
    timeout: float | None
    delivery: Delivery | None
    key: str | None
    wait: bool
    twin: bool
    follows: float | None
    leaves: float | None
    cancels: float | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        which: Chooses (0-1) among those whom it can hit.
        seconds: How long it lasts.
    """

    at: float
    kind: FaultKind
    which: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """A world, what is asked of it, and what is done to it.

    Attributes:
        harsh: Some agents kill or block their hosts, or are offline.
        quiet: Virtual seconds from which on nothing goes wrong any more.
    """

    seed: int
    weather: Weather
    limits: Limits
    rules: Rules
    asks: tuple[Ask, ...]
    faults: tuple[Fault, ...]
    harsh: bool
    quiet: float

    @property
    def replaces(self) -> bool:
        """Whether hosts are ended on purpose."""
        planned = any(fault.kind in ("restart", "scale") for fault in self.faults)
        return planned or self.rules.strategy != "one_for_one" or self.harsh

    @classmethod
    def of(cls, seed: int) -> "Scenario":
        """Return the scenario of a seed."""
        draw = _Draw(seed)
        length = draw.random.choice((2.0, 5.0, 10.0))
        faults = draw.faults(length)
        quiet = max([length, *(fault.at + fault.seconds for fault in faults)]) + 0.1
        return cls(
            seed,
            draw.weather(),
            draw.limits(),
            draw.rules(),
            draw.asks(length),
            faults,
            draw.harsh,
            quiet,
        )


class _Draw:
    """Draws the parts of a scenario.

    Each seed knows only some kinds of trouble ("swarm testing"): where everything always goes
    wrong, rare combinations never come about.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.random = seed, random.Random(f"{seed} scenario")
        calm = self.random.random() < 0.1
        self._kinds = [] if calm else [f for f in FAULTS if self.random.random() < 0.4]
        deeds = [] if calm else [deed for deed in HARSH if self.random.random() < 0.3]
        self._deeds = (*GENTLE, *deeds)
        self.harsh = bool(deeds)
        self._numbers = 0

    def weather(self) -> Weather:
        latency = self.random.choice((0.0002, 0.001, 0.01))
        return Weather(
            latency, self.random.choice((0.0, 0.0, 0.02)), self.random.choice((0.0, 0.2))
        )

    def limits(self) -> Limits:
        return Limits(self.random.choice((3, 10, 1000)), self.random.choice((2, 6, 50)))

    def rules(self) -> Rules:
        strategies = ("one_for_one", "one_for_one", "rest_for_one", "one_for_all")
        return Rules(strategy=self.random.choice(strategies))  # type: ignore[arg-type]

    def faults(self, length: float) -> tuple[Fault, ...]:
        if not self._kinds:
            return ()
        found = [
            Fault(
                self.random.uniform(0.0, length),
                self.random.choice(self._kinds),
                self.random.random(),
                self.random.choice((0.05, 0.5, 3.0)),
            )
            for _ in range(self.random.randint(1, 8))
        ]
        return tuple(sorted(found, key=lambda fault: fault.at))

    def asks(self, length: float) -> tuple[Ask, ...]:
        asks = [self._ask(length, TYPES, self._deeds) for _ in range(self.random.randint(10, 40))]
        mail = (*MAIL, "bomb") if self.harsh else MAIL
        asks += [self._ask(length, MAIL_TYPES, mail) for _ in range(self.random.randint(0, 10))]
        return tuple(sorted(asks, key=lambda ask: ask.at))

    def _ask(self, length: float, types: tuple[str, ...], deeds: tuple[Deed, ...]) -> Ask:
        draw = self.random
        self._numbers += 1
        at = 0.0 if draw.random() < 0.2 else draw.uniform(0.0, length)
        return Ask(
            at=at,
            task_id=self._task_id(at),
            task_type=draw.choice(types),
            deed=draw.choice(deeds),
            seconds=draw.choice((0.0, 0.01, 0.3, 2.0)),
            until=draw.choice((1, 2, 99)),
            user=draw.choice(("ada", "bob", "eve")),
            priority=draw.choice((0, 5, 5, 5, 10)),
            timeout=draw.choice((None, None, None, 1.0, 4.0)),
            delivery=draw.choice((None, None, None, Delivery.AT_MOST_ONCE, Delivery.AT_LEAST_ONCE)),
            key=f"key {draw.randint(1, 3)}" if draw.random() < 0.1 else None,
            wait=draw.random() < 0.7,
            twin=draw.random() < 0.1,
            follows=draw.uniform(0.0, 1.0) if draw.random() < 0.1 else None,
            leaves=draw.uniform(0.0, 1.0) if draw.random() < 0.1 else None,
            cancels=draw.uniform(0.0, 1.5) if draw.random() < 0.15 else None,
        )

    def _task_id(self, at: float) -> str:
        """Return a UUIDv7 of that time."""
        millis = 1_700_000_000_000 + int(at * 1000)
        tail = self.random.getrandbits(62)
        return str(UUID(int=(millis << 80) | (7 << 76) | (self._numbers << 64) | (2 << 62) | tail))


def probe_id(number: int) -> str:
    """Return the task id of a probe after the quiet."""
    return str(UUID(int=(1_700_001_000_000 << 80) | (7 << 76) | (2 << 62) | number))
