"""The tree from outside: found by its actors' names, entered by a door."""

from typing import Any

from actors import spawn
from actors.commands import Command
from actors.door import Door
from actors.hosting import HostSpec, RouteTable
from actors.setup import Network, TreeConfig, catalog
from cartrita.clock import SystemClock
from cartrita.journal import Stories
from cartrita.openers.answers import privacy_rules
from cartrita.openers.embeddings import embedding_fee
from cartrita.protocol.principal import Principal
from cartrita.rate import Limiter
from cartrita.roster import Roster
from cartrita.services import blob_spill, blob_store

ORCHESTRATOR = "cartrita.orchestrator"
"""The name of its actor in Ray."""

COMMAND_TIMEOUT = 4000.0
"""Seconds: a grace may be an hour."""


def supervisor_name(shard: str) -> str:
    """Return the name of a shard's actor."""
    return f"cartrita.supervisor.{shard.replace('/', '.')}"


def host_name(spec: HostSpec) -> str:
    """Return the name of a host's actor; no other start of one has it."""
    slot, _, start = spec.host_id.replace("/", ".").rpartition(".")
    return f"cartrita.host.{slot}.{spec.epoch}-{start}"


class RayDirectory:
    """Finds the tree's actors by their names."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    async def _ask(self, method: str, *args: Any, timeout: float) -> Any:
        orchestrator = spawn.find(ORCHESTRATOR, self._namespace)
        return await spawn.call(orchestrator, method, *args, timeout=timeout)

    async def routes(self) -> RouteTable:
        """Ask the orchestrator."""
        return RouteTable(**await self._ask("routes", timeout=30))

    async def config(self) -> TreeConfig:
        """Ask the orchestrator what the tree was told, secrets included."""
        found: TreeConfig = await self._ask("told", timeout=30)
        return found

    async def snapshot(self) -> dict[str, Any]:
        """Ask the orchestrator for the tree from above."""
        found: dict[str, Any] = await self._ask("snapshot", timeout=5)
        return found

    async def exported(self, node: str, address: str) -> None:
        """Tell the orchestrator where a node's metrics are served."""
        await self._ask("exported", node, address, timeout=5)

    async def command(
        self, command: str, target: str, arguments: dict[str, Any], who: Principal
    ) -> dict[str, Any]:
        """Have the orchestrator carry out an operator's command.

        Raises:
            CartritaError: It cannot be done; the class says why.
        """
        order = Command(command, target, arguments, who.user)
        found: dict[str, Any] = await self._ask("command", order, timeout=COMMAND_TIMEOUT)
        return found

    async def locate(self, shard: str) -> str:
        """Ask a supervisor, which Ray may just be restarting."""
        supervisor = spawn.find(supervisor_name(shard), self._namespace)
        info = await spawn.call(supervisor, "start", timeout=30)
        return str(info["address"])


def open_door(  # noqa: PLR0913, PLR0917 - each is a separate collaborator
    config: TreeConfig,
    directory: RayDirectory,
    stories: Stories,
    name: str,
    network: Network,
    limiter: Limiter | None = None,
    roster: Roster | None = None,
) -> Door:
    """Return a door for a process that belongs to the tree's Ray."""
    settings, clock = config.settings, SystemClock()
    return Door(
        catalog(settings),
        directory,
        stories,
        clock,
        name,
        max_parameters=settings.limits.max_parameters_bytes,
        connect=network.connect,
        limiter=limiter,
        spill=blob_spill(settings, blob_store(settings, clock)),
        roster=roster,
        privacy=privacy_rules(settings),
        fee=embedding_fee(settings),
    )
