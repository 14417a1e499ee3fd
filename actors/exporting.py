"""Has the metrics of this process's node served, and the orchestrator know where."""

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from actors import spawn
from actors.directory import RayDirectory
from actors.setup import TreeConfig
from cartrita.clock import SystemClock
from cartrita.errors import CartritaError
from cartrita.telemetry.exporter import Exporter
from cartrita.telemetry.log import get_logger

log = get_logger(__name__)

EVERY = 5.0
"""Seconds between two looks at whether somebody serves, and two words to the orchestrator."""

FORGET = 6 * EVERY
"""Seconds without a word after which a node's metrics are listed no more."""


class Exporting:
    """What each process does about it."""

    def __init__(self, config: TreeConfig) -> None:
        settings = config.settings
        self._directory = RayDirectory(config.namespace)
        self._exporter = Exporter(
            config.metrics_dir,
            _host(config),
            settings.telemetry.metrics_port,
            settings.server.metrics_from,
            SystemClock(),
        )

    async def run(self) -> None:
        """Serve whenever nobody else of this node does, for as long as the process lives."""
        try:
            while True:
                await self._once()
                await asyncio.sleep(EVERY)
        finally:
            self._exporter.close()

    async def _once(self) -> None:
        address = await asyncio.to_thread(self._exporter.hold)
        if address:
            try:
                await self._directory.exported(spawn.node(), address)
            except CartritaError as error:
                log.debug("orchestrator_not_told", error=error.message)


def _host(config: TreeConfig) -> str:
    """Return where to listen: on loopback, unless somebody else may read."""
    settings = config.settings
    networks = [ip_network(name, strict=False) for name in settings.server.metrics_from]
    if all(network.is_loopback for network in networks):
        return "127.0.0.1"
    return settings.channel.host or spawn.address()


class Exports:
    """Where the metrics of which node are, as the orchestrator was told."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, float]] = {}

    def note(self, node: str, address: str, now: float) -> None:
        """Take what a node says."""
        self._told[node] = address, now

    def rows(self, here: str, now: float) -> list[dict[str, Any]]:
        """Return what can be reached from here, node by node.

        Args:
            here: Our own node: where others listen on loopback is of no use to anybody here.
            now: As in `note`.
        """
        self._told = {node: told for node, told in self._told.items() if now < told[1] + FORGET}
        found: Mapping[str, str] = {node: address for node, (address, _) in self._told.items()}
        return [
            {"node": node, "address": address}
            for node, address in sorted(found.items())
            if node == here or not _loopback(address)
        ]


def _loopback(address: str) -> bool:
    return ip_address(address.rpartition(":")[0].strip("[]")).is_loopback
