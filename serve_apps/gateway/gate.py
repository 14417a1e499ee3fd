"""What the gateway's routes share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import Request

from cartrita.auth.claims import Claims
from cartrita.auth.identity import Identity
from cartrita.catalog import Catalog
from cartrita.clock import Clock
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskRequest
from cartrita.providers.ports import Probes
from serve_apps.asgi import bearer


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
    """Everything a route may need; `request.app.state.gate`.

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


def gate_of(request: Request) -> Gate:
    """Return the gate of the application a request came to."""
    gate: Gate = request.app.state.gate
    return gate


async def claims_of(request: Request) -> Claims:
    """Return what the request's token says.

    Raises:
        AuthenticationFailed: It has none, or it is not accepted.
    """
    return await gate_of(request).identity.admit(bearer(request))


async def principal_of(request: Request) -> Principal:
    """Return who asks."""
    return (await claims_of(request)).principal()
