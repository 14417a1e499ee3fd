"""Carries out the faults of a plan, and notes how long each took to heal."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import psutil

from cartrita.chaos.plan import Action, Aim, Fault, Kind
from cartrita.chaos.victims import Processes
from cartrita.client import AsyncClient
from cartrita.errors import CartritaError, ServiceUnavailable

LOOK_AGAIN = 0.1
HEALED_WITHIN = 180.0
GONE_WITHIN = 10.0

_MANY = (Kind.WORKER, Kind.SUPERVISOR)
"""Kinds of which one can be hit while another is still away."""


@dataclass(slots=True)
class Struck:
    """A fault that was carried out, or not.

    Attributes:
        at: Seconds after the load began.
        hit: Whether somebody was there to be hit.
        healed: Seconds until the instance was whole again; None where it never was.
    """

    fault: Fault
    at: float
    hit: bool = False
    healed: float | None = None


class Striker:
    """Breaks one instance.

    Args:
        aim: For how long pauses last.
        watch: Asks the instance; must not be patient.
        processes: Of the instance.
        restart: Starts the instance again after a power cut; returns its new owner.
        now: Seconds after the load began.
    """

    def __init__(
        self,
        aim: Aim,
        watch: AsyncClient,
        processes: Processes,
        restart: Callable[[], Awaitable[int]],
        now: Callable[[], float],
    ) -> None:
        self._aim, self._watch, self._processes = aim, watch, processes
        self._restart, self._now = restart, now
        self.struck: list[Struck] = []
        self._healing: set[asyncio.Task[None]] = set()

    async def follow(self, faults: tuple[Fault, ...]) -> None:
        """Carry out each fault at its time."""
        for fault in faults:
            await asyncio.sleep(max(fault.at - self._now(), 0.0))
            await self._strike(fault)

    async def healed(self) -> None:
        """Wait until everything that was broken is whole again, or will never be."""
        while self._healing:
            await asyncio.wait(set(self._healing))

    def close(self) -> None:
        """Leave nothing paused."""
        for task in self._healing:
            task.cancel()
        self._processes.resume()

    async def _strike(self, fault: Fault) -> None:
        struck = Struck(fault, self._now())
        self.struck.append(struck)
        if fault.kind is Kind.POWER:
            struck.hit = True
            await self._cut()
            self._heal(struck, None)
        elif not self._away(fault.kind):
            process = self._processes.find(fault.kind, await self._tree(), fault.chance)
            struck.at = self._now()
            if process is not None and self._hit(fault, process):
                struck.hit = True
                self._heal(struck, process)

    def _away(self, kind: Kind) -> bool:
        """Tell whether what is to be hit has not healed from the last time."""
        hits = [one for one in self.struck if one.hit and one.fault.kind is kind]
        return kind not in _MANY and bool(hits) and hits[-1].healed is None

    def _hit(self, fault: Fault, process: psutil.Process) -> bool:
        if fault.action is Action.KILL:
            return self._processes.kill(process)
        return self._processes.pause(process)

    async def _tree(self) -> dict[str, Any] | None:
        try:
            return await self._watch.tree()
        except CartritaError:
            return None

    async def _cut(self) -> None:
        """End everything, make sure of it, and start again."""
        everything = self._processes.cut()
        _, left = await asyncio.to_thread(psutil.wait_procs, everything, GONE_WITHIN)
        if left:
            raise ServiceUnavailable(f"These outlived the power cut: {left}.")
        self._processes = Processes(await self._restart())

    def _heal(self, struck: Struck, process: psutil.Process | None) -> None:
        task = asyncio.create_task(self._watch_healing(struck, process))
        self._healing.add(task)
        task.add_done_callback(self._healing.discard)

    async def _watch_healing(self, struck: Struck, process: psutil.Process | None) -> None:
        if struck.fault.action is Action.PAUSE:
            await asyncio.sleep(self._aim.hold)
            self._processes.resume()
            process = None  # it may go on, or have been replaced meanwhile
        until = struck.at + self._aim.hold + HEALED_WITHIN
        while self._now() < until:
            if await self._whole(struck.fault.kind, process):
                struck.healed = self._now() - struck.at
                return
            await asyncio.sleep(LOOK_AGAIN)

    async def _whole(self, kind: Kind, dead: psutil.Process | None) -> bool:
        """Tell whether nothing is missing: the dead one's place is taken, and all are well."""
        try:
            tree, health = await asyncio.gather(self._watch.tree(), self._watch.health())
        except CartritaError:
            return False
        if health.get("status") != "healthy" or not all_up(tree, dead.pid if dead else None):
            return False
        if dead is None:
            return True
        gone = not dead.is_running() or dead.status() == psutil.STATUS_ZOMBIE
        return gone and self._processes.find(kind, tree, 0.0) is not None


def all_up(tree: dict[str, Any], without: int | None) -> bool:
    """Tell whether every tier is there and none of it is the process `without`."""
    upper = [tree.get("orchestrator") or {}, *(tree.get("supervisors") or [])]
    hosts = [host for node in upper for host in node.get("hosts", ())]
    if any(node.get("state") != "up" for node in upper):
        return False
    if any(host.get("state") == "starting" for host in hosts):
        return False
    return without is None or without not in [node.get("pid") for node in [*upper, *hosts]]
