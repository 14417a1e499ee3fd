"""Opens what a gateway needs of the tree it belongs to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from typing import Any

import asyncpg

from actors.answerdesk import AnswerDesk
from actors.approvaldesk import ApprovalDesk
from actors.budgetdesk import BudgetDesk
from actors.directory import RayDirectory, open_door
from actors.effectdesk import EffectDesk
from actors.exporting import Exporting
from actors.externaldesk import ExternalDesk
from actors.quarantine import QuarantineDesk
from actors.replay import Storyteller
from actors.retrying import RetryDesk
from actors.setup import Network, TreeConfig, catalog, postgres_url
from cartrita import __version__
from cartrita.accounts import identity, key_desk, people_desk
from cartrita.auth.apikeys import KeyDesk
from cartrita.auth.identity import Identity
from cartrita.clock import Clock, SystemClock, iso, new_id
from cartrita.config.settings import Settings
from cartrita.cost.budget import Ceiling, Defaults, Period
from cartrita.cost.price import nano
from cartrita.egress.policy import named_by_operators
from cartrita.egress.transport import GuardedTransport
from cartrita.errors import ConfigurationInvalid, ServiceUnavailable
from cartrita.openers.answers import eraser, lasting
from cartrita.openers.keystore import open_keystore
from cartrita.protocol.principal import GUEST, SYSTEM
from cartrita.providers.probes import ProbeSet
from cartrita.roster import Roster
from cartrita.services import blob_store, database_probes, rate_limiter, sign_in_limiters
from cartrita.spill import UNCLAIMED
from cartrita.storage.blobs import Blobs, Due, Living
from cartrita.storage.ports import Users
from cartrita.storage.postgres.approvals import PostgresApprovals
from cartrita.storage.postgres.bridge import PostgresComparisons, PostgresSwitches
from cartrita.storage.postgres.budgets import PostgresBudgets
from cartrita.storage.postgres.effects import PostgresEffectBook
from cartrita.storage.postgres.external import PostgresRegistry
from cartrita.storage.postgres.knowledge import PostgresKnowledge
from cartrita.storage.postgres.listing import PostgresTasks
from cartrita.storage.postgres.runtime import PostgresAudit, PostgresQuarantine
from cartrita.storage.postgres.said import PostgresHistory
from cartrita.storage.postgres.stories import PostgresStories
from cartrita.storage.postgres.uploads import PostgresUploads
from cartrita.storage.postgres.users import PostgresUsers
from cartrita.telemetry.log import get_logger, heed
from cartrita.uploads import Uploads
from serve_apps.bridge.canary.desk import Books, MigrationDesk, Wishes, at_work
from serve_apps.bridge.canary.shadow import Findings, Shadow
from serve_apps.bridge.canary.sharing import Plan
from serve_apps.bridge.canary.upstream import Upstream
from serve_apps.bridge.table import load
from serve_apps.gateway.desks import Budgets
from serve_apps.gateway.gate import Audit, Gate
from serve_apps.gateway.quotas import Visitors

log = get_logger(__name__)

SWEEP_EVERY = 3600.0

GUESTS = f"user:{GUEST.user}"
"""The budget of those without a token."""

Jwks = Callable[[], dict[str, Any]]
People = Callable[[Users], Identity]
"""Says who may come in, of all who have an account."""


@asynccontextmanager
async def open_gate(
    config: TreeConfig,
    name: str = "gateway",
    people: People | None = None,
    *,
    tidy: bool = False,
) -> AsyncIterator[Gate]:
    """Open a gate to the tree on the Ray that this process has joined.

    Args:
        config: What the tree was told.
        name: What kind of visitor this is on the channels.
        people: Who may come in; by default, who signs in.
        tidy: Whether to drop old blobs now and then.
    """
    settings, clock = config.settings, SystemClock()
    directory = RayDirectory(config.namespace)
    async with (
        asyncpg.create_pool(
            postgres_url(settings),
            min_size=1,
            max_size=settings.postgres.pool_size,
            statement_cache_size=settings.postgres.statement_cache_size,
        ) as pool,
        _migration(settings, pool, clock) as migration,
    ):
        stories, network = PostgresStories(pool), Network(config)
        limiter, declared = rate_limiter(settings, clock), catalog(settings)
        registry, visitor = PostgresRegistry(pool), f"{name} {new_id()}"
        roster = Roster(declared, registry, clock)
        door = open_door(config, directory, stories, visitor, network, limiter, roster)
        desk, keystore = key_desk(settings, pool, clock), open_keystore(settings, pool, clock)
        if people:
            who, jwks = people(PostgresUsers(pool)), _no_keys
        else:
            who, jwks = _accounts(config, pool, desk)
        visitors = Visitors(*sign_in_limiters(settings, clock), behind_edge=settings.embedded)
        blobs, kept = blob_store(settings, clock), eraser(settings, pool)
        working = [asyncio.create_task(door.follow())]
        if tidy:
            door.routes.log_level = heed
            working.append(asyncio.create_task(Exporting(config).run()))
            sweeping = _sweep(blobs, stories.remembered, clock, settings.blobs.ttl_s)
            working.append(asyncio.create_task(sweeping))
        try:
            yield Gate(
                tasks=door,
                identity=who,
                keys=desk,
                people=people_desk(settings, pool, who, clock),
                visitors=visitors,
                limiter=limiter,
                jwks=jwks,
                external=ExternalDesk(declared, registry, roster, PostgresAudit(pool), clock),
                clock=clock,
                started_at=clock.now(),
                version=__version__,
                above=directory.snapshot,
                listing=PostgresTasks(pool),
                blobs=blobs,
                blob_kinds=settings.blobs.types,
                history=PostgresHistory(pool),
                knowledge=PostgresKnowledge(pool),
                uploads=Uploads(blobs, PostgresUploads(pool), clock),
                quarantine=QuarantineDesk(stories, PostgresQuarantine(pool), door.resubmit, clock),
                storyteller=Storyteller(stories, PostgresEffectBook(pool)),
                effects=EffectDesk(PostgresEffectBook(pool), PostgresAudit(pool), clock),
                approvals=ApprovalDesk(PostgresApprovals(pool), PostgresAudit(pool), clock),
                budgets=budget_desk(settings, pool, clock),
                migration=migration,
                retries=RetryDesk(stories, door.resubmit, clock),
                answers=AnswerDesk(kept, PostgresAudit(pool), clock, lasting(settings, declared)),
                command=directory.command,
                audit=_audit(PostgresAudit(pool)),
                probes=ProbeSet(database_probes(settings)),
                services_file=config.runtime_dir / "services.json",
                metrics_dir=config.metrics_dir,
                docs=settings.server.docs,
                guests=settings.guests_welcome,
                vault=keystore,
            )
        finally:
            for task in working:
                task.cancel()
            door.close()
            for held in (limiter, visitors, blobs, kept, keystore):
                await held.close()


def budget_desk(settings: Settings, pool: asyncpg.Pool, clock: Clock) -> BudgetDesk:
    """Return where budgets are looked at and set."""
    defaults = Defaults.named(settings.budgets.limits)
    return BudgetDesk(PostgresBudgets(pool), defaults, PostgresAudit(pool), clock)


async def limit_guests(budgets: Budgets, usd: float) -> None:
    """Have all guests together spend so much a day, unless somebody set their budget."""
    if not (await budgets.show(GUESTS, SYSTEM))["isSet"]:
        await budgets.set(GUESTS, Ceiling(nano(usd), None, Period.DAY), SYSTEM)


def _no_keys() -> dict[str, Any]:
    return {"keys": []}


def _accounts(config: TreeConfig, pool: asyncpg.Pool, desk: KeyDesk) -> tuple[Identity, Jwks]:
    who, keys = identity(config.settings, pool, SystemClock(), desk)
    return who, keys.jwks


def _migration(
    settings: Settings, pool: asyncpg.Pool, clock: Clock
) -> AbstractAsyncContextManager[MigrationDesk]:
    """Open the desk of the move from v2, and what shares its routes out."""
    told = settings.migration
    books = Books(PostgresSwitches(pool), PostgresComparisons(pool), PostgresAudit(pool))
    wishes = Wishes(told.v2_url, told.share, told.shadow, told.when_away)
    desk = MigrationDesk(books, wishes, load, clock)
    if told.v2_url is None:
        return at_work(desk, None)
    shadow = Shadow(Findings(books.comparisons, clock), told.shadow_queue, told.shadow_timeout_s)
    transport = GuardedTransport(
        named_by_operators(), connections=told.connections, keep=told.connections
    )
    plan = Plan(
        Upstream(told.v2_url, transport, clock, connect=told.connect_s, silence=told.timeout_s),
        told.share,
        lambda: desk.rolled_back,
        refuses=told.when_away == "refuse",
        shadow=None if told.shadow == "off" else shadow,
        twice=told.shadow == "all",
        edge=settings.embedded,
    )
    return at_work(desk, plan)


def _audit(log_of: PostgresAudit) -> Audit:
    async def rows(limit: int, before: int | None) -> list[dict[str, Any]]:
        entries = await log_of.entries(limit, before)
        return [{**asdict(entry), "at": iso(entry.at)} for entry in entries]

    return rows


async def _sweep(blobs: Blobs, living: Living, clock: Clock, ttl: float) -> None:
    """Drop old blobs every now and then, for as long as the gateway runs."""
    while True:
        now = clock.now()
        try:
            await blobs.sweep(Due(now - ttl, now - UNCLAIMED, living))
        except (ServiceUnavailable, ConfigurationInvalid) as error:
            log.warning("sweep_failed", error=error.message)
        await asyncio.sleep(SWEEP_EVERY)
