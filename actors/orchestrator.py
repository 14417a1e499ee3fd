"""Tier 0: starts and adopts the supervisors, publishes where they are. Off the data path."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from actors.hosting import RouteTable, SupervisorInfo, shard_name, team_of
from cartrita.clock import Clock
from cartrita.declare import TEAMS
from cartrita.telemetry.log import get_logger

log = get_logger(__name__)

RETRY = 0.5
"""Seconds between tries to start a supervisor that does not come up."""


class SupervisorHandle(Protocol):
    """A running supervisor, as the orchestrator holds it."""

    info: SupervisorInfo
    died: asyncio.Future[str]

    async def stop(self, grace: float) -> None:
        """Drain it and end it for good."""


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


class Orchestrator:
    """Keeps every shard's supervisor running."""

    def __init__(self, identity: Identity, supervisors: Supervisors, clock: Clock) -> None:
        self._identity, self._supervisors, self._clock = identity, supervisors, clock
        self._handles: dict[str, SupervisorHandle] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._teams: dict[str, int] = {}
        self._version = 0
        self._changed = asyncio.Event()

    async def start(self, shards: int = 1, timeout: float = 120.0) -> None:
        """Start `shards` supervisors of each team and wait until all are up.

        Raises:
            TimeoutError: One did not come up.
        """
        names = [shard_name(team, number) for team in TEAMS for number in range(shards)]
        for name in names:
            self._keepers[name] = asyncio.create_task(self._keep(name), name=f"keep {name}")
        async with asyncio.timeout(timeout):
            while not all(name in self._handles for name in names):
                self._changed.clear()
                await self._changed.wait()
        self._teams = dict.fromkeys(TEAMS, shards)
        self._version += 1

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
            why = await asyncio.shield(handle.died)
            log.warning("supervisor_died", shard=shard, why=why)
            self._put(shard, None)

    def _put(self, shard: str, handle: SupervisorHandle | None) -> None:
        if handle is None:
            self._handles.pop(shard, None)
        else:
            self._handles[shard] = handle
        self._version += 1
        self._changed.set()

    def routes(self) -> RouteTable:
        """Return where every shard listens."""
        addresses = {shard: handle.info.address for shard, handle in self._handles.items()}
        identity = self._identity
        return RouteTable(self._version, identity.build, self._teams, addresses, identity.token)

    def supervisors(self) -> Sequence[SupervisorInfo]:
        """Return what the supervisors said of themselves when they came up."""
        return [handle.info for handle in self._handles.values()]

    async def stop(self, grace: float = 10.0) -> None:
        """End the supervisors in reverse start order."""
        for keeper in self._keepers.values():
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
        for shard in reversed(list(self._handles)):
            await self._handles[shard].stop(grace)
        self._handles.clear()

    def snapshot(self) -> dict[str, Any]:
        """Return what `GET /v3/tree` shows of the orchestrator and of where things run."""
        down = [shard for shard in self._keepers if shard not in self._handles]
        return {
            "state": "up" if self._teams and not down else "starting",
            "supervisors": {
                info.shard: {"pid": info.pid, "node": info.node, "team": team_of(info.shard)}
                for info in self.supervisors()
            },
        }
