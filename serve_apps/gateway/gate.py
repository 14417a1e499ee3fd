"""What the gateway's routes share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic_core import to_json
from starlette.requests import Request

from cartrita.auth.apikeys import KeyDesk
from cartrita.auth.claims import Claims
from cartrita.auth.identity import Identity
from cartrita.catalog import Catalog
from cartrita.clock import Clock
from cartrita.errors import AuthorizationFailed, CartritaError
from cartrita.external.registration import Registration
from cartrita.external.registry import Registered
from cartrita.people.desk import PeopleDesk
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskRequest
from cartrita.providers.ports import ProbeReport, Probes
from cartrita.rate import Limiter
from cartrita.schema import catalog_entry, openapi
from cartrita.storage.blobs import Blobs
from cartrita.storage.knowledge import Knowledge
from cartrita.storage.listing import TaskTable
from cartrita.storage.threads import History
from cartrita.telemetry.metrics import exposition
from cartrita.telemetry.tally import tally
from cartrita.uploads import Uploads
from cartrita.vault.desk import VaultDesk
from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.messages import bearer
from serve_apps.gateway.desks import (
    Approvals,
    Budgets,
    Effects,
    KeptAnswers,
    Migration,
    Retries,
    Storyteller,
)
from serve_apps.gateway.pages import Page
from serve_apps.gateway.quotas import Visitors, left
from serve_apps.gateway.shared import Shared

EVERY_TASK = "tasks:*"
"""The permission that lists need: they tell of tasks of all types."""

MOMENT = 1.0
"""Seconds for which one look at the databases or the metrics serves all who ask."""


Answer = dict[str, Any] | CartritaError
"""What became of one of many tasks: what `submit` returns, or what it raises."""


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

    async def submit_many(
        self,
        asked: Sequence[tuple[TaskRequest, str | None]],
        who: Principal,
        *,
        wait: bool,
        traceparent: str | None = None,
    ) -> list[Answer]:
        """Accept many tasks, with their idempotency keys; each has an answer of its own."""

    async def get(self, task_id: str, who: Principal, wait: float = 0.0) -> dict[str, Any]:
        """Return a task's response or its status so far."""

    async def cancel(self, task_id: str, who: Principal) -> bool:
        """Cancel a task; False when it had ended already."""

    def events(
        self, task_id: str, who: Principal, after: str | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield a task's events behind a cursor, as they come, to its end.

        Raises:
            NotFound: There is no such task, or it is somebody else's; before the first event.
        """

    async def feed(
        self,
        task_id: str,
        who: Principal,
        piece: Literal["start", "data", "end"],
        sequence: int,
        data: Any = None,
    ) -> None:
        """Send a piece of a stream into a running task; returns when there is room for more."""

    async def supervisors(self) -> list[dict[str, Any]]:
        """Return every shard's own account of itself."""


class Quarantine(Protocol):
    """Tasks that were given up because they kill whatever runs them.

    Owners see theirs, administrators all; to others they are not found.
    """

    async def list(self, who: Principal, limit: int, before: str | None) -> list[dict[str, Any]]:
        """Return tasks that wait for a decision, newest first, older than the task `before`."""

    async def inspect(self, task_id: str, who: Principal) -> dict[str, Any]:
        """Return all that is known of a task."""

    async def retry(
        self, task_id: str, who: Principal, parameters: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Run it as a new task, perhaps with other parameters; return that one's id and status."""

    async def discard(self, task_id: str, who: Principal) -> bool:
        """Give it up for good; False when that was decided already."""


class External(Protocol):
    """All agents there are now, and what administrators do about external ones."""

    async def catalog(self) -> Catalog:
        """Return the catalogue: the same object for as long as nothing changes."""

    async def agents(self) -> Mapping[str, Registered]:
        """Return the external agents by their names."""

    async def register(self, told: Registration, who: Principal) -> bool:
        """Register one; True when there was none of its name."""

    async def remove(self, name: str, who: Principal) -> None:
        """Remove one."""


class Commands(Protocol):
    """Has the orchestrator carry out a command, and keep a record of it."""

    async def __call__(
        self, command: str, target: str, arguments: dict[str, Any], who: Principal
    ) -> dict[str, Any]:
        """Return `command`, `target` and `results`: of each part its `id` and whether it is `ok`.

        Raises:
            CartritaError: It was not carried out; the class says why.
        """


class Audit(Protocol):
    """Reads the record of commands."""

    async def __call__(self, limit: int, before: int | None) -> list[dict[str, Any]]:
        """Return entries, newest first, older than the entry `before`."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Everything a route may need; found by `gate_of`.

    Attributes:
        visitors: Counts the requests of those without a token.
        blob_kinds: Patterns of the media types that are kept.
        above: Asks the orchestrator for the tree from above.
        command: Carries out an operator's command.
        audit: Reads what operators commanded.
        services_file: Where the owner of an embedded instance keeps its services' states.
        metrics_dir: What this node's processes share.
        guests: Whether those without a token may run tasks by routes of v2 that were open.
        vault: Keeps users' keys of providers.
    """

    tasks: Tasks
    identity: Identity
    keys: KeyDesk
    people: PeopleDesk
    limiter: Limiter
    visitors: Visitors
    jwks: Callable[[], dict[str, Any]]
    external: External
    clock: Clock
    started_at: float
    version: str
    above: Callable[[], Awaitable[dict[str, Any]]]
    listing: TaskTable
    blobs: Blobs
    blob_kinds: tuple[str, ...]
    history: History
    knowledge: Knowledge
    uploads: Uploads
    quarantine: Quarantine
    storyteller: Storyteller
    effects: Effects
    approvals: Approvals
    budgets: Budgets
    migration: Migration
    retries: Retries
    answers: KeptAnswers
    command: Commands
    audit: Audit
    probes: Probes
    services_file: Path
    metrics_dir: Path | None
    docs: bool
    guests: bool
    vault: VaultDesk


class CatalogPage:
    """A document about the catalogue, made anew when that changes."""

    def __init__(self, gate: Gate, make: Callable[[Catalog, str], Page]) -> None:
        self._gate, self._make = gate, make
        self._made: tuple[Catalog, Page] | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> Page:
        """Return the document of now."""
        catalog = await self._gate.external.catalog()
        async with self._lock:  # once for all who ask
            if self._made is None or self._made[0] is not catalog:
                page = await asyncio.to_thread(self._make, catalog, self._gate.version)
                self._made = (catalog, page)
            return self._made[1]


class Desk:
    """What is the same for everybody who asks, kept ready beside the open gate."""

    def __init__(self, gate: Gate) -> None:
        clock = gate.clock
        self.probes: Shared[tuple[ProbeReport, ...]] = Shared(gate.probes.check, clock, MOMENT)
        self.metrics = Shared(lambda: _metrics(gate), clock, MOMENT)
        self.tallies = Shared(lambda: asyncio.to_thread(tally, gate.metrics_dir), clock, MOMENT)
        self.catalog = CatalogPage(gate, _catalog)
        self.openapi = CatalogPage(gate, _openapi)


def _metrics(gate: Gate) -> Awaitable[bytes]:
    return asyncio.to_thread(exposition, gate.metrics_dir)


def _catalog(catalog: Catalog, _version: str) -> Page:
    tasks = [catalog_entry(spec) for spec in catalog.tasks.values()]
    return Page.of(to_json({"tasks": tasks}))


def _openapi(catalog: Catalog, version: str) -> Page:
    return Page.of(to_json(openapi(catalog, version)))


def gate_of(request: Request) -> Gate:
    """Return the gate of the application a request came to."""
    gate: Gate = request.app.gate
    return gate


def desk_of(request: Request) -> Desk:
    """Return what the application a request came to keeps ready."""
    desk: Desk = request.app.desk
    return desk


async def claims_of(request: Request) -> Claims:
    """Return what the request's token says, and count the request.

    Raises:
        AuthenticationFailed: It has none, or it is not accepted.
        RateLimitExceeded: Who asks has made too many.
    """
    claims = await _admitted(request)
    await gate_of(request).limiter.take(claims.principal().user)
    return claims


async def _admitted(request: Request) -> Claims:
    """Return what the request's token says; the answer will tell what is left of the quota."""
    gate = gate_of(request)
    claims = await gate.identity.admit(bearer(request))
    if gate.limiter.limited:
        exchange_of(request).more = partial(left, gate.limiter, claims.principal().user)
    return claims


async def submitter_of(request: Request) -> Principal:
    """Return who asks for tasks, which the Door counts, each one.

    Raises:
        RateLimitExceeded: Who asks has nothing left, which is told before the body is read.
    """
    who = (await _admitted(request)).principal()
    gate_of(request).limiter.check(who.user)
    return who


async def principal_of(request: Request) -> Principal:
    """Return who asks, and count the request."""
    return (await claims_of(request)).principal()


async def granted(request: Request, permission: str) -> Principal:
    """Return who asks, if a scope covers a permission, and count the request.

    Raises:
        AuthorizationFailed: None does.
    """
    who = await principal_of(request)
    if not who.may(permission):
        raise AuthorizationFailed(f"These credentials do not cover {permission!r}.")
    return who


async def worker_of(request: Request) -> Principal:
    """Return who asks, if some tasks are theirs to run, and count the request.

    Raises:
        AuthorizationFailed: None are.
    """
    who = await principal_of(request)
    if not who.works:
        raise AuthorizationFailed("These credentials are not for tasks, and so not for blobs.")
    return who


async def admin_of(request: Request) -> Principal:
    """Return who asks, who must be an administrator.

    Raises:
        AuthorizationFailed: It is somebody else.
    """
    who = await principal_of(request)
    if not who.admin:
        raise AuthorizationFailed("Only administrators may do this: sign in as one.")
    return who
