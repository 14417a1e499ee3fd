"""What Ray Serve imports: the applications, and how a driver deploys and removes them."""

import asyncio
import json
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import asyncpg
from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from actors import spawn
from actors.directory import RayDirectory, open_door
from actors.effectdesk import EffectDesk
from actors.externaldesk import ExternalDesk
from actors.quarantine import QuarantineDesk
from actors.replay import Storyteller
from actors.setup import Network, TreeConfig, build_id, catalog, postgres_url
from actors.tree import start_tree, stop_tree
from cartrita import __version__
from cartrita.accounts import identity
from cartrita.clock import Clock, SystemClock, iso, new_id
from cartrita.config.load import load_settings
from cartrita.config.settings import Settings
from cartrita.errors import ServiceUnavailable
from cartrita.instance import make_private
from cartrita.providers.probes import ProbeSet
from cartrita.roster import Roster
from cartrita.services import blob_store, database_probes, rate_limiter
from cartrita.storage.blobs import Blobs
from cartrita.storage.postgres.effects import PostgresEffectBook
from cartrita.storage.postgres.external import PostgresRegistry
from cartrita.storage.postgres.listing import PostgresTasks
from cartrita.storage.postgres.migrate import migrate
from cartrita.storage.postgres.runtime import PostgresAudit, PostgresQuarantine
from cartrita.storage.postgres.stories import PostgresStories
from cartrita.telemetry import log
from serve_apps.gateway.app import gateway
from serve_apps.gateway.gate import Audit, Gate
from serve_apps.gateway.sockets.bounds import Bounds
from serve_apps.rpc.server import Port, serving

APPLICATION = "cartrita"
SWEEP_EVERY = 3600.0
MAX_ONGOING = 4096
"""Requests a replica may have open; Serve's own default of 5 counts idle streams, too."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance keeps what it shares between processes of a node.

    Attributes:
        runtime_dir: Short and private: sockets live here.
        run: One life of the instance.
    """

    runtime_dir: Path
    run: str


def place_of(settings: Settings) -> Place:
    """Return a place for an instance that has no owner to choose one (attached lifetime)."""
    digest = blake2b(f"{settings.home}|{settings.instance}".encode(), digest_size=4).hexdigest()
    return Place(Path(tempfile.gettempdir()) / f"cartrita-{digest}", new_id())


def tree_config(settings: Settings, place: Place) -> TreeConfig:
    """Return what the actors are told."""
    runtime = place.runtime_dir
    return TreeConfig(
        settings,
        place.run,
        build_id(),
        runtime,
        runtime / "metrics",
        token=secrets.token_urlsafe(32),
    )


class Gateway:
    """One gateway replica."""

    def __init__(self, config: TreeConfig) -> None:
        telemetry = config.settings.telemetry
        log.configure(telemetry.log_level, telemetry.log_format)
        for folder in (config.runtime_dir, config.metrics_dir):
            make_private(folder)
        self._config = config

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Build the application (Serve calls this)."""
        server = self._config.settings.server
        return gateway(
            self._open,
            max_body=server.max_body_bytes,
            max_blob=self._config.settings.blobs.max_bytes,
            body_timeout=server.request_timeout_s,
            cors=server.cors_origins,
            show_docs=server.docs,
            bounds=bounds(self._config.settings),
        )

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Gate]:
        config, settings, clock = self._config, self._config.settings, SystemClock()
        directory = RayDirectory(config.namespace)
        async with asyncpg.create_pool(
            postgres_url(settings),
            min_size=1,
            max_size=settings.postgres.pool_size,
            statement_cache_size=settings.postgres.statement_cache_size,
        ) as pool:
            stories, network = PostgresStories(pool), Network(config)
            limiter = rate_limiter(settings, clock)
            declared, registry = catalog(settings), PostgresRegistry(pool)
            roster = Roster(declared, registry, clock)
            name = f"gateway {new_id()}"
            door = open_door(config, directory, stories, name, network, limiter, roster)
            who, keys = identity(settings, pool, clock)
            blobs = blob_store(settings, clock)
            following = asyncio.create_task(door.follow())
            sweeping = asyncio.create_task(_sweep(blobs, clock, settings.blobs.ttl_s))
            try:
                gate = Gate(
                    tasks=door,
                    identity=who,
                    limiter=limiter,
                    jwks=keys.jwks,
                    external=ExternalDesk(declared, registry, roster, PostgresAudit(pool), clock),
                    clock=clock,
                    started_at=clock.now(),
                    version=__version__,
                    above=directory.snapshot,
                    listing=PostgresTasks(pool),
                    blobs=blobs,
                    blob_kinds=settings.blobs.types,
                    quarantine=QuarantineDesk(
                        stories, PostgresQuarantine(pool), door.resubmit, clock
                    ),
                    storyteller=Storyteller(stories, PostgresEffectBook(pool)),
                    effects=EffectDesk(PostgresEffectBook(pool), PostgresAudit(pool), clock),
                    command=directory.command,
                    audit=_audit(PostgresAudit(pool)),
                    probes=ProbeSet(database_probes(settings)),
                    services_file=config.runtime_dir / "services.json",
                    metrics_dir=config.metrics_dir,
                    docs=settings.server.docs,
                )
                async with serving(gate, _grpc_port(settings), bounds(settings)):
                    yield gate
            finally:
                following.cancel()
                sweeping.cancel()
                door.close()
                await limiter.close()
                await blobs.close()


async def _sweep(blobs: Blobs, clock: Clock, ttl: float) -> None:
    """Drop old blobs every now and then, for as long as the gateway runs."""
    while True:
        with suppress(ServiceUnavailable):
            await blobs.sweep(clock.now() - ttl)
        await asyncio.sleep(SWEEP_EVERY)


def bounds(settings: Settings) -> Bounds:
    """Return the limits of an instance's sockets."""
    server, limits = settings.server, settings.limits
    redis = settings.redis.dsn if server.gateway_replicas > 1 else None
    return Bounds(
        connections=limits.socket_connections,
        connections_each=limits.socket_connections_per_user,
        message_bytes=server.max_body_bytes,
        rate=limits.socket_messages_per_s,
        burst=limits.socket_burst,
        subscriptions=limits.socket_subscriptions,
        idle=limits.socket_idle_s,
        origins=server.cors_origins,
        redis_url=redis.get_secret_value() if redis else None,
    )


def _grpc_port(settings: Settings) -> Port:
    server = settings.server
    return Port(server.host, server.grpc_port, server.tls_certificate, server.tls_key)


def _audit(log_of: PostgresAudit) -> Audit:
    async def rows(limit: int, before: int | None) -> list[dict[str, Any]]:
        entries = await log_of.entries(limit, before)
        return [{**asdict(entry), "at": iso(entry.at)} for entry in entries]

    return rows


def application(config: TreeConfig) -> Application:
    """Return the Serve application of an instance whose tree runs."""
    settings = config.settings
    deployment = serve.deployment(
        name="gateway",
        num_replicas=settings.server.gateway_replicas,
        max_ongoing_requests=MAX_ONGOING,
        ray_actor_options={
            "num_cpus": 0,
            "runtime_env": {"env_vars": dict(config.needs.environment)},
        },
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
        graceful_shutdown_timeout_s=20,
    )
    app: Application = deployment(serve.ingress()(Gateway)).bind(config)
    return app


def build(args: dict[str, str] | None = None) -> Application:
    """Start the tree on this Ray and return the application: what `import_path` names.

    Args:
        args: Settings by their dotted names, over those of the environment.
    """
    given = load_settings(args or {})
    settings = given.model_copy(update={"lifetime": "attached"})
    config = tree_config(settings, place_of(settings))
    asyncio.run(_prepare(config))
    return application(config)


async def _prepare(config: TreeConfig) -> None:
    """Bring the database up to date and start the tree, safe to do from several at once."""
    settings, admin = config.settings, config.settings.admin
    url = postgres_url(settings)
    await migrate(url)
    if admin.password:
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
            who, _ = identity(settings, pool, SystemClock())
            await who.ensure_admin(admin.email, admin.password.get_secret_value())
    await start_tree(config)


async def deploy(settings: Settings, place: Place, address: str, port: int) -> None:
    """Start the tree and the doors on a Ray that runs; they stay when this process ends."""
    spawn.connect(address, settings.instance)
    config = tree_config(settings, place)
    _say("tree")
    await _prepare(config)
    _say("serve")
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    await asyncio.to_thread(
        serve.run, application(config), name=APPLICATION, route_prefix="/", blocking=False
    )
    _say("ready")


async def remove(settings: Settings, address: str, grace: float) -> None:
    """Take the doors away, then drain the tree."""
    spawn.connect(address, settings.instance)
    await asyncio.to_thread(serve.delete, APPLICATION)
    await stop_tree(settings.instance, grace)
    await asyncio.to_thread(serve.shutdown)


def _say(step: str) -> None:
    """Report progress to the owner, who reads our output line by line."""
    sys.stdout.write(json.dumps({"step": step}) + "\n")
    sys.stdout.flush()


def main(argv: list[str]) -> None:
    """Run `deploy` or `remove` for an owner, which passes the facts as JSON.

    Ray is imported in this short-lived process only, so that the owner stays small.
    """
    facts: dict[str, Any] = json.loads(argv[1])
    settings = load_settings()
    if argv[0] == "deploy":
        owned = "runtime_dir" in facts
        place = Place(Path(facts["runtime_dir"]), facts["run"]) if owned else place_of(settings)
        asyncio.run(deploy(settings, place, facts["address"], facts["port"]))
    else:
        asyncio.run(remove(settings, facts["address"], facts["grace"]))
    spawn.disconnect()


if __name__ == "__main__":
    main(sys.argv[1:])
