"""Tier 0: starts and adopts the supervisors, publishes where they are. Off the data path."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from actors.hosting import RouteTable, SupervisorInfo, shard_name, team_of
from cartrita.clock import Clock
from cartrita.declare import TEAMS, Team
from cartrita.telemetry.log import get_logger
from cartrita.telemetry.metrics import SUPERVISOR_DEATHS, SUPERVISOR_MISSING, labelled

log = get_logger(__name__)

RETRY = 0.5
"""Seconds between tries to start a supervisor that does not come up."""

COOL_OFF = 30.0
"""Seconds after which a group that was given up is tried again; then 60, 120, … 600."""

LONGEST_COOL_OFF = 600.0


class SupervisorHandle(Protocol):
    """A running supervisor, as the orchestrator holds it."""

    info: SupervisorInfo
    died: asyncio.Future[str]

    async def stop(self, grace: float) -> None:
        """Drain it and end it for good."""

    async def command(
        self, verb: str, part: str | None, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        """Have it carry out a command."""

    async def trouble(self, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Wait until other groups than `known` are down or quarantined; return all that are."""


class Supervisors(Protocol):
    """Starts supervisors: Ray actors in production, objects in one process for tests."""

    async def ensure(self, shard: str) -> SupervisorHandle:
        """Return the running supervisor of a shard, starting it when there is none."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which tree this is.

    Attributes:
        build: Of the code; a supervisor of another build is replaced.
        token: What the supervisors' channels ask for.
    """

    build: str
    token: str


@dataclass(slots=True)
class Plan:
    """Which supervisors there should be.

    Attributes:
        counts: How many shards take new tasks of a team.
        leaving: Shards beyond that, which end once they are empty.
        held: Shards an operator has shut down.
    """

    counts: dict[Team, int] = field(default_factory=dict)
    leaving: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)

    def shards(self) -> list[str]:
        """Return all shards that are to run, in start order."""
        taking = [shard_name(team, n) for team in TEAMS for n in range(self.counts.get(team, 0))]
        return [shard for shard in [*taking, *sorted(self.leaving)] if shard not in self.held]


class Orchestrator:
    """Keeps every shard's supervisor running."""

    def __init__(self, identity: Identity, supervisors: Supervisors, clock: Clock) -> None:
        self._identity, self._supervisors, self._clock = identity, supervisors, clock
        self.plan = Plan()
        self._handles: dict[str, SupervisorHandle] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._troubles: dict[str, list[dict[str, Any]]] = {}
        self._errands: set[asyncio.Task[None]] = set()
        self._up, self.log_level = False, ""
        self._version = 0
        self._changed = asyncio.Event()

    async def start(self, plan: Plan | None = None, timeout: float = 120.0) -> None:
        """Start the supervisors of a plan, one of each team by default, and wait for all.

        Raises:
            TimeoutError: One did not come up.
        """
        self.plan = plan or Plan(dict.fromkeys(TEAMS, 1))
        self.follow_plan()
        await self.settled(timeout)
        self._up = True
        self._version += 1

    def follow_plan(self) -> None:
        """Keep what the plan names, and let go of the rest."""
        for shard in self.plan.shards():
            if shard not in self._keepers:
                self._keepers[shard] = asyncio.create_task(self._keep(shard), name=f"keep {shard}")
                self._count(shard)
        for shard in set(self._keepers) - set(self.plan.shards()):
            self._keepers.pop(shard).cancel()
            self._count(shard)
        self._version += 1

    async def settled(self, timeout: float) -> None:
        """Wait until every supervisor of the plan is up.

        Raises:
            TimeoutError: One did not come up.
        """
        async with asyncio.timeout(timeout):
            while not all(name in self._handles for name in self.plan.shards()):
                self._changed.clear()
                await self._changed.wait()

    async def _keep(self, shard: str) -> None:
        """Have a supervisor for a shard, again and again."""
        while True:
            try:
                handle = await self._supervisors.ensure(shard)
            except Exception as error:  # noqa: BLE001 - whatever it is, the shard must come up
                log.warning("supervisor_did_not_start", shard=shard, error=repr(error))
                await asyncio.sleep(RETRY)
                continue
            self._put(shard, handle)
            listener = asyncio.create_task(self._listen(shard, handle), name=f"listen to {shard}")
            try:
                why = await asyncio.shield(handle.died)
            finally:
                listener.cancel()
            log.warning("supervisor_died", shard=shard, why=why)
            labelled(SUPERVISOR_DEATHS, shard).inc()
            self._put(shard, None)

    async def _listen(self, shard: str, handle: SupervisorHandle) -> None:
        """Hear of groups that a supervisor gave up, and have them tried again after a while."""
        cool_off: dict[str, float] = {}
        known: list[dict[str, Any]] = []
        while True:
            try:
                troubles = await handle.trouble(known)
            except Exception as error:  # noqa: BLE001 - it died, which its keeper sees
                log.debug("supervisor_silent", shard=shard, error=repr(error))
                return
            self._troubles[shard] = troubles
            fresh, known = [trouble for trouble in troubles if trouble not in known], troubles
            for trouble in fresh:
                group = trouble["group"]
                log.error("escalated", shard=shard, group=group, state=trouble["state"])
                if trouble["state"] == "down":
                    wait = cool_off.get(group, COOL_OFF)
                    cool_off[group] = min(2 * wait, LONGEST_COOL_OFF)
                    self._run(self._revive(shard, handle, group, wait))

    async def _revive(self, shard: str, handle: SupervisorHandle, group: str, wait: float) -> None:
        await asyncio.sleep(wait)
        if self._handles.get(shard) is handle:
            log.info("revived", shard=shard, group=group)
            await handle.command("REVIVE", group, {})

    def _run(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errand_done)

    def _errand_done(self, task: "asyncio.Task[None]") -> None:
        self._errands.discard(task)
        if not task.cancelled() and task.exception():
            log.warning("errand_failed", error=repr(task.exception()))

    def _put(self, shard: str, handle: SupervisorHandle | None) -> None:
        self._troubles.pop(shard, None)
        self._count(shard)
        if handle is None:
            self._handles.pop(shard, None)
        else:
            self._handles[shard] = handle
        self._version += 1
        self._changed.set()

    def _count(self, shard: str) -> None:
        missing = shard in self.plan.shards() and shard not in self._handles
        labelled(SUPERVISOR_MISSING, shard).set(missing)
        labelled(SUPERVISOR_DEATHS, shard)  # begins at 0

    def handle(self, shard: str) -> SupervisorHandle | None:
        """Return a shard's supervisor; None while it is away."""
        return self._handles.get(shard)

    async def end(self, shard: str, grace: float) -> None:
        """Drain and end a supervisor. Its keeper starts another, if the plan still has it."""
        handle = self._handles.get(shard)
        if handle is not None:
            try:
                await handle.stop(grace)
            except Exception as error:  # noqa: BLE001 - it died first, which ends it as well
                log.warning("supervisor_did_not_stop", shard=shard, error=repr(error))
            if self._handles.get(shard) is handle:  # else its keeper was quicker
                self._put(shard, None)

    async def retire(self, shard: str) -> None:
        """Let a shard that is leaving finish what it has, then end it, unless it comes back."""
        while shard in self.plan.leaving:
            handle = self._handles.get(shard)
            if handle is None:
                self._changed.clear()
                await self._changed.wait()
            elif await self._drained(shard, handle) and shard in self.plan.leaving:
                self.plan.leaving.discard(shard)
                self.follow_plan()
                await self.end(shard, grace=0.0)
                log.info("shard_retired", shard=shard)

    async def _drained(self, shard: str, handle: SupervisorHandle) -> bool:
        """Have a supervisor finish what it has; False when it died: the next one drains."""
        draining = asyncio.ensure_future(handle.command("DRAIN", None, {}))
        try:
            ends: list[asyncio.Future[Any]] = [draining, handle.died]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if draining.done():
                await draining
                return True
        except Exception as error:  # noqa: BLE001 - whatever it is, the shard must end
            log.warning("supervisor_did_not_drain", shard=shard, error=repr(error))
        finally:
            draining.cancel()
        await asyncio.sleep(RETRY)
        return False

    def routes(self) -> RouteTable:
        """Return where every shard listens."""
        addresses = {shard: handle.info.address for shard, handle in self._handles.items()}
        counts: dict[str, int] = {}
        for team, count in self.plan.counts.items() if self._up else ():
            shards = (shard_name(team, number) for number in range(count))
            counts[team] = 0 if all(shard in self.plan.held for shard in shards) else count
        identity = self._identity
        told = (identity.build, counts, addresses, identity.token, self.log_level)
        return RouteTable(self._version, *told)

    def supervisors(self) -> Sequence[SupervisorInfo]:
        """Return what the supervisors said of themselves when they came up."""
        return [handle.info for handle in self._handles.values()]

    async def stop(self, grace: float = 10.0) -> None:
        """End the supervisors in reverse start order."""
        for task in [*self._keepers.values(), *self._errands]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for shard in reversed(list(self._handles)):
            await self._handles[shard].stop(grace)
        self._handles.clear()

    def snapshot(self) -> dict[str, Any]:
        """Return what `GET /v3/tree` shows of the orchestrator and of where things run."""
        down = [shard for shard in self._keepers if shard not in self._handles]
        return {
            "state": "up" if self._up and not down else "starting",
            "troubles": [
                {"supervisor": shard, **trouble}
                for shard, troubles in self._troubles.items()
                for trouble in troubles
            ],
            "supervisors": {
                info.shard: {
                    "pid": info.pid,
                    "node": info.node,
                    "actorId": info.actor,
                    "team": team_of(info.shard),
                }
                for info in self.supervisors()
            },
        }
