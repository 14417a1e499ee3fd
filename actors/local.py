"""The same tree in one process, without Ray: for tests, and for trying an agent."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from actors.approvaldesk import ApprovalDesk
from actors.budgetdesk import BudgetDesk
from actors.controls import Controls
from actors.door import Door
from actors.effectdesk import EffectDesk
from actors.externaldesk import ExternalDesk
from actors.fleet import Fleet, Rules
from actors.hosting import HostSpec, Limits, RouteTable, SupervisorInfo, groups_of, team_of
from actors.operations import Operations, obey
from actors.orchestrator import Identity, Orchestrator
from actors.quarantine import QuarantineDesk
from actors.replay import Storyteller
from actors.retrying import RetryDesk
from actors.supervisor import Supervisor
from actors.worker import WorkerHost
from cartrita.approvals import ApprovalBook
from cartrita.catalog import Catalog
from cartrita.channel.address import Address
from cartrita.channel.server import ChannelServer
from cartrita.clock import Clock, SystemClock, new_random
from cartrita.cost.budget import Defaults
from cartrita.cost.fee import Fee
from cartrita.errors import ServiceUnavailable
from cartrita.external.registry import Registry
from cartrita.journal import Journal, Stories
from cartrita.ledger import EffectBook, Ledger
from cartrita.rate import Limiter
from cartrita.roster import Roster
from cartrita.services import Services
from cartrita.spill import Spill
from cartrita.storage.memory_approvals import InMemoryApprovals
from cartrita.storage.memory_budgets import InMemoryBudgets
from cartrita.storage.memory_effects import InMemoryEffectBook, InMemoryLedger
from cartrita.storage.memory_external import InMemoryRegistry
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.memory_runtime import (
    InMemoryAudit,
    InMemoryOrders,
    InMemoryQuarantine,
    InMemoryRetention,
)
from cartrita.telemetry.span import Tracer

TOKEN = "local"  # noqa: S105 - everybody who could read it is this process


class LocalHost:
    """A host that lives in this process; killing it closes its channel at once."""

    def __init__(self, host: WorkerHost, address: str) -> None:
        self._host, self.address = host, address
        self.pid, self.node, self.actor = os.getpid(), "local", ""
        self.died: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def kill(self) -> None:
        """Stop it."""
        if not self.died.done():
            self.died.set_result("killed")
            await self._host.stop()


@dataclass(slots=True)
class LocalHosts:
    """Starts hosts in this process."""

    catalog: Catalog
    services: Services
    folder: Path
    spill: Spill | None = None
    started: list[LocalHost] = field(default_factory=list)

    async def start(self, spec: HostSpec) -> LocalHost:
        """Start a host."""
        worker = WorkerHost(spec, self.catalog, self.services.fresh(), spill=self.spill)
        address = Address.unix(self.folder / f"{spec.host_id.replace('/', '.')}.sock")
        try:
            host = LocalHost(worker, await worker.start(address))
        except BaseException:  # nobody waits for it any more, mostly
            await worker.stop()
            raise
        self.started.append(host)
        return host


class LocalSupervisor:
    """A supervisor that lives in this process."""

    def __init__(
        self,
        info: SupervisorInfo,
        supervisor: Supervisor,
        server: ChannelServer,
        journal: Journal,
        ledger: Ledger,
    ) -> None:
        self.info, self.supervisor = info, supervisor
        self.controls = Controls(supervisor)
        self._server, self._journal, self._ledger = server, journal, ledger
        self.died: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._fence = asyncio.create_task(self._die_when_fenced())

    async def _die_when_fenced(self) -> None:
        await self.supervisor.fenced.wait()
        await self._end("fenced")

    async def kill(self) -> None:
        """End it as a crash does: nobody is told, and nothing more is written."""
        self._fence.cancel()
        await self._journal.close()
        await self._ledger.close()
        await self._end("killed")

    async def _end(self, why: str) -> None:
        await self._server.stop()
        await self.supervisor.stop(grace=0.0)
        if not self.died.done():
            self.died.set_result(why)

    async def stop(self, grace: float) -> None:
        """Drain it and end it."""
        self._fence.cancel()
        await self.supervisor.stop(grace)
        await self._server.stop()
        if not self.died.done():
            self.died.set_result("stopped")

    async def command(
        self, verb: str, part: str | None, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        """Have it carry out a command."""
        return await self.controls.command(verb, part, arguments)

    async def trouble(self, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Wait until other groups than `known` are in trouble."""
        return await self.supervisor.trouble(known)


class LocalTree:
    """All tiers in one process, over real channels."""

    def __init__(  # noqa: PLR0913 - each is a separate collaborator
        self,
        catalog: Catalog,
        services: Services,
        folder: Path,
        *,
        limits: Limits | None = None,
        rules: Rules | None = None,
        tables: JournalTables | None = None,
        stories: Stories | None = None,
        book: EffectBook | None = None,
        clock: Clock | None = None,
        limiter: Limiter | None = None,
        spill: Spill | None = None,
        registry: Registry | None = None,
        questions: ApprovalBook | None = None,
        budgets: Defaults | None = None,
        fee: Fee | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self.catalog, self.folder = catalog, folder
        self.tables = tables or JournalTables()
        self.stories: Stories = stories or self.tables
        self.clock = clock or SystemClock()
        self.hosts = LocalHosts(catalog, services, folder, spill)
        self.supervisors: dict[str, LocalSupervisor] = {}
        self._limits, self._rules = limits or Limits(), rules or Rules()
        self.orchestrator = Orchestrator(Identity("local", TOKEN), self, self.clock)
        self.orders, self.audit = InMemoryOrders(self.tables), InMemoryAudit()
        self.operations = Operations(
            self.orchestrator, self.orders, self.audit, catalog, self.clock
        )
        self.registry = registry or InMemoryRegistry()
        roster = Roster(catalog, self.registry, self.clock)
        self.external = ExternalDesk(catalog, self.registry, roster, self.audit, self.clock)
        self.door = Door(
            catalog,
            self,
            self.stories,
            self.clock,
            "door",
            limiter=limiter,
            spill=spill,
            roster=roster,
            fee=fee,
        )
        quarantine = InMemoryQuarantine(self.tables)
        self.quarantine = QuarantineDesk(self.stories, quarantine, self.door.resubmit, self.clock)
        self.retries = RetryDesk(self.stories, self.door.resubmit, self.clock)
        self.retention = InMemoryRetention(self.tables, quarantine, self.clock)
        book = book or InMemoryEffectBook(self.tables, self.clock)
        self.effects = EffectDesk(book, self.audit, self.clock)
        self.questions = questions or InMemoryApprovals(self.tables, self.clock)
        self.approvals = ApprovalDesk(self.questions, self.audit, self.clock)
        self.ceilings = budgets or Defaults()
        accounts = InMemoryBudgets(self.tables.budgets, self.clock)
        self.budgets = BudgetDesk(accounts, self.ceilings, self.audit, self.clock)
        self.storyteller = Storyteller(self.stories, book)

    def journal(self, shard: str) -> Journal:
        """Return a writer for a shard: in memory, unless somebody who knows better says so."""
        return InMemoryJournal(self.tables, shard, self.clock, self.ceilings)

    def ledger(self, shard: str, epoch: int) -> Ledger:
        """Return a writer of effects for a shard, as with its journal."""
        return InMemoryLedger(self.tables, shard, epoch, self.clock)

    async def ensure(self, shard: str) -> LocalSupervisor:
        """Start a shard's supervisor (the orchestrator calls this)."""
        journal = self.journal(shard)
        epoch = await journal.open()
        ledger = self.ledger(shard, epoch)
        supervisor = Supervisor(
            shard,
            self.catalog,
            journal,
            self.stories,
            limits=self._limits,
            clock=self.clock,
            randomness=new_random(),
            calls=self.door,
            ledger=ledger,
            tracer=self._tracer,
        )
        fleet = Fleet(
            shard,
            groups_of(self.catalog.team(team_of(shard))),
            self.hosts,
            clock=self.clock,
            randomness=new_random(),
            demand=supervisor,
            rules=self._rules,
        )
        ordered = partial(obey, self.orders, shard, Controls(supervisor), self.catalog)
        await supervisor.start(fleet, TOKEN, ordered)
        server = ChannelServer(shard, supervisor, token=TOKEN, epoch=epoch)
        where = Address.unix(self.folder / f"{shard.replace('/', '.')}.{epoch}.sock")
        address = str(await server.start(where))
        info = SupervisorInfo(shard, address, epoch, "local", os.getpid(), "local")
        local = self.supervisors[shard] = LocalSupervisor(info, supervisor, server, journal, ledger)
        return local

    async def routes(self) -> RouteTable:
        """Return where the supervisors are (the door calls this)."""
        return self.orchestrator.routes()

    async def locate(self, shard: str) -> str:
        """Return where one supervisor is (the door calls this)."""
        if shard not in self.supervisors:
            raise ServiceUnavailable(f"{shard!r} does not run.")
        return self.supervisors[shard].info.address


@asynccontextmanager
async def local_tree(  # noqa: PLR0913 - each is a separate collaborator
    catalog: Catalog,
    services: Services,
    folder: Path,
    *,
    limits: Limits | None = None,
    rules: Rules | None = None,
    tables: JournalTables | None = None,
    limiter: Limiter | None = None,
    spill: Spill | None = None,
    registry: Registry | None = None,
    questions: ApprovalBook | None = None,
    budgets: Defaults | None = None,
    fee: Fee | None = None,
    tracer: Tracer | None = None,
) -> AsyncIterator[LocalTree]:
    """Run the whole tree in this process, for as long as the context is open.

    Args:
        catalog: The agents to run.
        services: What they are given.
        folder: A short path for the sockets.
        limits: Bounds of each supervisor.
        rules: How each fleet behaves.
        tables: A journal that outlives the tree.
        limiter: Counts what clients ask for.
        spill: Where what is large goes.
        registry: External agents, that somebody else looks after.
        questions: What people are asked, that somebody else looks after.
        budgets: What budgets hold that nobody set; nothing is limited by default.
        fee: What an embedder costs; None where none does.
        tracer: Is told of what becomes of tasks.
    """
    tree = LocalTree(
        catalog,
        services,
        folder,
        limits=limits,
        rules=rules,
        tables=tables,
        limiter=limiter,
        spill=spill,
        registry=registry,
        questions=questions,
        budgets=budgets,
        fee=fee,
        tracer=tracer,
    )
    await tree.operations.start({})
    try:
        yield tree
    finally:
        tree.door.close()
        await tree.orchestrator.stop(grace=1.0)
