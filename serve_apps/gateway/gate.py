"""What the gateway's routes share."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic_core import to_json
from starlette.requests import Request

from cartrita.auth.claims import Claims
from cartrita.auth.identity import Identity
from cartrita.catalog import Catalog
from cartrita.clock import Clock
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskRequest
from cartrita.providers.ports import ProbeReport, Probes
from cartrita.schema import catalog_entry, openapi
from cartrita.telemetry.metrics import exposition
from serve_apps.asgi.messages import bearer
from serve_apps.gateway.shared import Shared

MOMENT = 1.0
"""Seconds for which one look at the databases or the metrics serves all who ask."""


class Tasks(Protocol):
    """What the gateway asks of the Door."""

    async def submit(
        self,
        request: TaskRequest,
        who: Principal,
        *,
        wait: bool,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> dict[str, Any]:
        """Accept a task; return its response, or its id and status when not waiting."""

    async def get(self, task_id: str, who: Principal, wait: float = 0.0) -> dict[str, Any]:
        """Return a task's response or its status so far."""

    async def cancel(self, task_id: str, who: Principal) -> bool:
        """Cancel a task; False when it had ended already."""

    async def supervisors(self) -> list[dict[str, Any]]:
        """Return every shard's own account of itself."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Everything a route may need; found by `gate_of`.

    Attributes:
        above: Asks the orchestrator for the tree from above.
        services_file: Where the owner of an embedded instance keeps its services' states.
        metrics_dir: What this node's processes share.
    """

    tasks: Tasks
    identity: Identity
    jwks: Callable[[], dict[str, Any]]
    catalog: Catalog
    clock: Clock
    started_at: float
    version: str
    above: Callable[[], Awaitable[dict[str, Any]]]
    probes: Probes
    services_file: Path
    metrics_dir: Path | None
    docs: bool


class Desk:
    """What is the same for everybody who asks, kept ready beside the open gate."""

    def __init__(self, gate: Gate) -> None:
        clock = gate.clock
        self.probes: Shared[tuple[ProbeReport, ...]] = Shared(gate.probes.check, clock, MOMENT)
        self.metrics = Shared(lambda: _metrics(gate), clock, MOMENT)
        self.catalog = Shared(lambda: asyncio.to_thread(_catalog, gate), clock, math.inf)
        self.openapi = Shared(lambda: asyncio.to_thread(_openapi, gate), clock, math.inf)


def _metrics(gate: Gate) -> Awaitable[bytes]:
    return asyncio.to_thread(exposition, gate.metrics_dir)


def _catalog(gate: Gate) -> bytes:
    return to_json({"tasks": [catalog_entry(spec) for spec in gate.catalog.tasks.values()]})


def _openapi(gate: Gate) -> bytes:
    return to_json(openapi(gate.catalog, gate.version))


def gate_of(request: Request) -> Gate:
    """Return the gate of the application a request came to."""
    gate: Gate = request.app.gate
    return gate


def desk_of(request: Request) -> Desk:
    """Return what the application a request came to keeps ready."""
    desk: Desk = request.app.desk
    return desk


async def claims_of(request: Request) -> Claims:
    """Return what the request's token says.

    Raises:
        AuthenticationFailed: It has none, or it is not accepted.
    """
    return await gate_of(request).identity.admit(bearer(request))


async def principal_of(request: Request) -> Principal:
    """Return who asks."""
    return (await claims_of(request)).principal()
