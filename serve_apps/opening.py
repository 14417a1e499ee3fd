"""Opens what a gateway needs of the tree it belongs to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import asyncpg

from actors.directory import RayDirectory, open_door
from actors.effectdesk import EffectDesk
from actors.quarantine import QuarantineDesk
from actors.replay import Storyteller
from actors.setup import Network, TreeConfig, catalog, postgres_url
from cartrita import __version__
from cartrita.accounts import identity
from cartrita.auth.identity import Identity
from cartrita.clock import SystemClock, iso, new_id
from cartrita.providers.probes import ProbeSet
from cartrita.services import blob_store, database_probes, rate_limiter
from cartrita.storage.ports import Users
from cartrita.storage.postgres.effects import PostgresEffectBook
from cartrita.storage.postgres.listing import PostgresTasks
from cartrita.storage.postgres.runtime import PostgresAudit, PostgresQuarantine
from cartrita.storage.postgres.stories import PostgresStories
from cartrita.storage.postgres.users import PostgresUsers
from serve_apps.gateway.gate import Audit, Gate

Jwks = Callable[[], dict[str, Any]]
People = Callable[[Users], Identity]
"""Says who may come in, of all who have an account."""


@asynccontextmanager
async def open_gate(
    config: TreeConfig, name: str = "gateway", people: People | None = None
) -> AsyncIterator[Gate]:
    """Open a gate to the tree on the Ray that this process has joined.

    Args:
        config: What the tree was told.
        name: What kind of visitor this is on the channels.
        people: Who may come in; by default, who signs in.
    """
    settings, clock = config.settings, SystemClock()
    directory = RayDirectory(config.namespace)
    async with asyncpg.create_pool(
        postgres_url(settings),
        min_size=1,
        max_size=settings.postgres.pool_size,
        statement_cache_size=settings.postgres.statement_cache_size,
    ) as pool:
        stories, network = PostgresStories(pool), Network(config)
        limiter = rate_limiter(settings, clock)
        door = open_door(config, directory, stories, f"{name} {new_id()}", network, limiter)
        who, jwks = (people(PostgresUsers(pool)), _no_keys) if people else _accounts(config, pool)
        blobs = blob_store(settings, clock)
        following = asyncio.create_task(door.follow())
        try:
            yield Gate(
                tasks=door,
                identity=who,
                limiter=limiter,
                jwks=jwks,
                catalog=catalog(settings),
                clock=clock,
                started_at=clock.now(),
                version=__version__,
                above=directory.snapshot,
                listing=PostgresTasks(pool),
                blobs=blobs,
                blob_kinds=settings.blobs.types,
                quarantine=QuarantineDesk(stories, PostgresQuarantine(pool), door.resubmit, clock),
                storyteller=Storyteller(stories, PostgresEffectBook(pool)),
                effects=EffectDesk(PostgresEffectBook(pool), PostgresAudit(pool), clock),
                command=directory.command,
                audit=_audit(PostgresAudit(pool)),
                probes=ProbeSet(database_probes(settings)),
                services_file=config.runtime_dir / "services.json",
                metrics_dir=config.metrics_dir,
                docs=settings.server.docs,
            )
        finally:
            following.cancel()
            door.close()
            await limiter.close()
            await blobs.close()


def _no_keys() -> dict[str, Any]:
    return {"keys": []}


def _accounts(config: TreeConfig, pool: asyncpg.Pool) -> tuple[Identity, Jwks]:
    who, keys = identity(config.settings, pool, SystemClock())
    return who, keys.jwks


def _audit(log_of: PostgresAudit) -> Audit:
    async def rows(limit: int, before: int | None) -> list[dict[str, Any]]:
        entries = await log_of.entries(limit, before)
        return [{**asdict(entry), "at": iso(entry.at)} for entry in entries]

    return rows
