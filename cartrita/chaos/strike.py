"""Carries out the faults of a plan, and notes how long each took to heal."""

import asyncio
import subprocess
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

_RAY = (Kind.GCS, Kind.RAYLET)
"""While these come back they are left alone: each death takes half a minute to heal, and the
owner gives up on a Ray that dies again and again."""


Restart = Callable[[], Awaitable["subprocess.Popen[bytes]"]]
"""Starts the instance again; returns its new owner."""


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
        restart: For after a power cut.
        now: Seconds after the load began.
    """

    def __init__(
        self,
        aim: Aim,
        watch: AsyncClient,
        processes: Processes,
        restart: Restart,
        now: Callable[[], float],
    ) -> None:
        self._aim, self._watch, self._processes = aim, watch, processes
        self._restart, self._now = restart, now
        self.struck: list[Struck] = []
        self._open: list[_Wound] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._revived: subprocess.Popen[bytes] | None = None

    async def follow(self, faults: tuple[Fault, ...]) -> None:
        """Carry out each fault at its time, and wait until all have healed, or never will."""
        watching = asyncio.create_task(self._watch_healing())
        self._tasks.append(watching)
        for fault in faults:
            await asyncio.sleep(max(fault.at - self._now(), 0.0))
            await self._strike(fault)
        while self._open:
            await asyncio.wait({watching}, timeout=LOOK_AGAIN)
            if watching.done():
                watching.result()

    def close(self) -> None:
        """Leave nothing paused."""
        for task in self._tasks:
            task.cancel()
        self._processes.resume_all()

    async def _strike(self, fault: Fault) -> None:
        struck = Struck(fault, self._now())
        self.struck.append(struck)
        if fault.kind is Kind.POWER:
            struck.hit = True
            await self._cut()
            self._open.append(_Wound(struck, None))
        elif not (fault.kind in _RAY and self._ray_is_away()):
            tree = await self._tree()
            process = self._processes.find(fault.kind, tree, fault.chance)
            struck.at = self._now()
            if process is not None and self._hit(fault, process):
                struck.hit = True
                self._open.append(_Wound(struck, process, host_of(tree or {}, process.pid)))

    def _ray_is_away(self) -> bool:
        return any(wound.struck.fault.kind in _RAY for wound in self._open)

    def _hit(self, fault: Fault, process: psutil.Process) -> bool:
        if fault.action is Action.KILL:
            return self._processes.kill(process)
        stopped = self._processes.pause(process)
        self._tasks.append(asyncio.create_task(self._resume_later(stopped)))
        return bool(stopped)

    async def _resume_later(self, stopped: list[psutil.Process]) -> None:
        await asyncio.sleep(self._aim.hold)
        self._processes.resume(stopped)

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
        self._revived = await self._restart()
        self._processes = Processes(self._revived.pid)

    async def _watch_healing(self) -> None:
        """Look at the instance for as long as anything of it is broken."""
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            now = self._now()
            self._open = [one for one in self._open if now < one.struck.at + self._patience]
            due = [one for one in self._open if self._due(one.struck)]
            if due and (tree := await self._well()) is not None:
                for wound in due:
                    if self._replaced(wound, tree):
                        wound.struck.healed = self._now() - wound.struck.at
                        self._open.remove(wound)

    @property
    def _patience(self) -> float:
        return self._aim.hold + HEALED_WITHIN

    def _due(self, struck: Struck) -> bool:
        """Tell whether it can have healed: what is paused cannot."""
        paused = struck.fault.action is Action.PAUSE
        return not paused or self._now() >= struck.at + self._aim.hold

    async def _well(self) -> dict[str, Any] | None:
        """Return the tree, if its upper tiers and the services are well."""
        try:
            tree, health = await asyncio.gather(self._watch.tree(), self._watch.health())
        except CartritaError:
            return None
        return tree if health.get("status") == "healthy" and upper_up(tree) else None

    def _replaced(self, wound: "_Wound", tree: dict[str, Any]) -> bool:
        """Tell whether somebody took the place of the one that was hit; a pause needs nobody."""
        dead, fault = wound.process, wound.struck.fault
        if not settled(tree, wound.host):
            return False
        if dead is None or fault.action is Action.PAUSE:
            return True
        if not gone(dead) or dead.pid in pids(tree):
            return False
        return self._processes.find(fault.kind, tree, 0.0) is not None


@dataclass(slots=True, eq=False)
class _Wound:
    """A fault that has not healed.

    Attributes:
        process: Who was hit; None for everybody.
        host: Its place in the tree, if it is a worker's.
    """

    struck: Struck
    process: psutil.Process | None
    host: str | None = None


def gone(process: psutil.Process) -> bool:
    """Tell whether a process has ended, though nobody may have asked for its status yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def upper_up(tree: dict[str, Any]) -> bool:
    """Tell whether the orchestrator and every supervisor are up."""
    return all(node.get("state") == "up" for node in _nodes(tree)[0])


def settled(tree: dict[str, Any], host: str | None) -> bool:
    """Tell whether a host is not only coming; without one, whether none is."""
    mine = [one for one in _nodes(tree)[1] if host is None or one.get("id") == host]
    return not any(one.get("state") == "starting" for one in mine)


def host_of(tree: dict[str, Any], pid: int) -> str | None:
    """Return the place of a worker in the tree; None for a process that is none."""
    return next((one.get("id") for one in _nodes(tree)[1] if one.get("pid") == pid), None)


def pids(tree: dict[str, Any]) -> set[int]:
    """Return the processes that a tree names."""
    upper, hosts = _nodes(tree)
    return {node["pid"] for node in [*upper, *hosts] if node.get("pid")}


def _nodes(tree: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    upper = [tree.get("orchestrator") or {}, *(tree.get("supervisors") or [])]
    return upper, [host for node in upper for host in node.get("hosts", ())]
