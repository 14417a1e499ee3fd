"""What the processes of the tree have in common, whichever actor they are."""

import asyncio
import os
from typing import Any

from actors import spawn
from actors.exporting import Exporting
from actors.setup import TreeConfig
from cartrita.garbage import look_rarely
from cartrita.instance import make_private
from cartrita.telemetry import log, metrics
from cartrita.telemetry.metrics import ProcessUsage

REPORT_EVERY = 5.0


class Process:
    """An actor's process.

    Args:
        config: What the tree was told.
        agent_id: What it is called in metrics.
        told: What it is called in Ray's dashboard.
    """

    def __init__(self, config: TreeConfig, agent_id: str, told: str) -> None:
        prepare(config)
        self.config = config
        self._usage, self._told = ProcessUsage(agent_id), told
        self._starting = asyncio.Lock()
        self._exporting: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """Say what it is: Ray's dashboard shows this."""
        return self._told

    def export(self) -> None:
        """Have this node's metrics served, by this process if by no other."""
        if self._exporting is None:
            self._exporting = asyncio.create_task(Exporting(self.config).run())

    async def watch(self) -> None:
        """Never return, so that whoever waits learns of this process's death at once."""
        while True:
            self._usage.report()
            await asyncio.sleep(REPORT_EVERY)


def prepare(config: TreeConfig) -> None:
    """Have a process of the tree, or a gateway, log and count as it is told, in private folders."""
    telemetry, scrubbed = config.settings.telemetry, config.settings.privacy.logs
    log.configure(telemetry.log_level, telemetry.log_format, scrubbed=scrubbed)
    if not telemetry.metrics:
        metrics.stop_counting()
    for folder in (config.runtime_dir, config.metrics_dir):
        make_private(folder)
    look_rarely()


def whereabouts() -> dict[str, Any]:
    """Return what tells this process from others."""
    return {"pid": os.getpid(), "node": spawn.node(), "actor": spawn.actor()}
