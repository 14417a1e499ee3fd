"""Looks after external agents: checks their health, quarantines them, lets them come back."""

import asyncio
import random
from dataclasses import dataclass, field

from actors.restart import RestartPolicy, RestartWindow
from cartrita.clock import Clock
from cartrita.errors import CartritaError, ServiceUnavailable
from cartrita.external.registry import Registered, Registry, Standing
from cartrita.providers.ports import ExternalAgents
from cartrita.telemetry.log import get_logger
from cartrita.telemetry.metrics import AGENT_HEALTH

log = get_logger(__name__)

TICK = 0.5
"""Seconds between two looks at the registry."""

AT_ONCE = 32
"""Checks under way at one time."""


@dataclass(slots=True)
class _Beat:
    """What is remembered of one registration between two checks."""

    revision: str
    window: RestartWindow
    suspected: int
    due: float
    work: asyncio.Task[None] | None = field(default=None)


class Patrol:
    """Runs beside the orchestrator; what it finds is in the registry, where all doors read it.

    A failed check counts as a death does under a supervisor: more than `intensity` of them
    within the period, and the agent is quarantined. One that is good brings it back. A call
    that failed on the network is no proof, but has the health looked at at once.

    Args:
        registry: Whom to look after.
        agents: How to look.
        clock: For the windows and the times of checks.
        randomness: For the restart windows, whose pauses nobody waits here.
    """

    def __init__(
        self, registry: Registry, agents: ExternalAgents, clock: Clock, randomness: random.Random
    ) -> None:
        self._registry, self._agents, self._clock = registry, agents, clock
        self._random = randomness
        self._beats: dict[str, _Beat] = {}
        self._few = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Go round, for as long as the process lives."""
        try:
            while True:
                try:
                    await self.round()
                except ServiceUnavailable:
                    pass  # the next time
                except Exception:  # whatever it is, it must not end this for good
                    log.exception("patrol_failed")
                await asyncio.sleep(TICK)
        finally:
            for beat in self._beats.values():
                if beat.work:
                    beat.work.cancel()

    async def round(self) -> list[asyncio.Task[None]]:
        """Begin every check that is due, and return them."""
        agents = {one.name: one for one in await self._registry.all()}
        for name in self._beats.keys() - agents.keys():
            AGENT_HEALTH.labels(name).set(0.0)
            del self._beats[name]
        return [task for one in agents.values() if (task := self._begin(one))]

    def _begin(self, one: Registered) -> asyncio.Task[None] | None:
        now, beat = self._clock.monotonic(), self._beats.get(one.name)
        if beat is None or beat.revision != one.revision:
            told = one.registration
            policy = RestartPolicy("permanent", told.intensity, told.period_ms / 1000)
            window = RestartWindow(policy, self._random)
            beat = self._beats[one.name] = _Beat(one.revision, window, one.suspected, now)
        if one.suspected != beat.suspected:
            beat.suspected, beat.due = one.suspected, now
        if now < beat.due or (beat.work and not beat.work.done()):
            return None
        beat.due = now + one.registration.health_every_ms / 1000
        beat.work = asyncio.create_task(self._check(one, beat), name=f"health of {one.name}")
        return beat.work

    async def _check(self, one: Registered, beat: _Beat) -> None:
        async with self._few:
            standing: Standing = "up"
            try:
                detail = await self._agents.check(one)
                beat.window.reset()
            except ServiceUnavailable:
                return  # ours, not the agent's
            except CartritaError as error:
                gone = beat.window.died(self._clock.monotonic()) is None
                standing = "quarantined" if gone else one.standing
                detail = error.message
            if standing != one.standing:
                log.warning("external_agent", agent=one.name, standing=standing, detail=detail)
            AGENT_HEALTH.labels(one.name).set(float(standing == "up"))
            try:
                now = self._clock.now()
                await self._registry.note(one.name, one.revision, standing, now, detail)
            except ServiceUnavailable:
                beat.due = self._clock.monotonic()
