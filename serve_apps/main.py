"""What Ray Serve imports: the applications, and how a driver deploys and removes them."""

import asyncio
import json
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import asyncpg
from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from actors import spawn
from actors.process import prepare
from actors.setup import TreeConfig, build_id, postgres_url
from actors.tree import start_tree, stop_tree
from cartrita.accounts import identity
from cartrita.clock import SystemClock, new_id
from cartrita.config.load import load_settings
from cartrita.config.settings import Settings
from cartrita.openers.tracing import open_tracer
from cartrita.openers.vault import PROVIDERS, resolved
from cartrita.protocol.task import Budget
from cartrita.storage.postgres.migrate import migrate
from cartrita.telemetry import metrics
from serve_apps.asgi.visits import Visits
from serve_apps.bridge.answers import Terms
from serve_apps.bridge.canary.desk import plan_of
from serve_apps.bridge.canary.sharing import Sharing
from serve_apps.bridge.loop import Bridge
from serve_apps.gateway.app import gateway
from serve_apps.gateway.gate import Gate
from serve_apps.gateway.sockets.bounds import Bounds
from serve_apps.opening import budget_desk, limit_guests, open_gate
from serve_apps.rpc.server import GRACE, Port, serving

APPLICATION = "cartrita"
MAX_ONGOING = 4096
"""Requests a replica may have open; Serve's own default of 5 counts idle streams, too."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance keeps what it shares between processes of a node.

    Attributes:
        runtime_dir: Short and private: sockets live here.
        run: One life of the instance.
        rpc: Loopback port of gRPC behind an edge; without one gateways have the public port.
    """

    runtime_dir: Path
    run: str
    rpc: int | None = None


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

    def __init__(self, config: TreeConfig, rpc: Port) -> None:
        prepare(config)
        self._config, self._rpc = config, rpc

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
            older=older(self._config.settings),
            visits=self._visits(),
        )

    def _visits(self) -> Visits | None:
        """Return what tells of requests as traces; None where nobody is told."""
        self._tracer = open_tracer(self._config.settings, f"gateway {new_id()}")
        return Visits(self._tracer, SystemClock()) if self._tracer else None

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Gate]:
        try:
            async with (
                open_gate(self._config, tidy=True) as gate,
                serving(gate, self._rpc, bounds(self._config.settings)),
            ):
                yield gate
        finally:
            metrics.write()
            if self._tracer:
                await asyncio.to_thread(self._tracer.close)


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
        older_origins=settings.bridge.origins,
        redis_url=redis.get_secret_value() if redis else None,
    )


def older(settings: Settings) -> Sharing | None:
    """Return what answers v2's clients, unless a setting switched it off."""
    told = settings.bridge
    if not told.enabled:
        return None
    terms = Terms(told.deprecated, told.sunset, told.guide)
    budget = Budget(max_usd=told.guest_usd, max_tokens=told.guest_tokens)
    return Sharing(Bridge(terms, guest_budget=budget, origins=told.origins), plan_of)


def rpc_port(settings: Settings, place: Place) -> Port:
    """Return where the gateways of an instance serve gRPC."""
    server = settings.server
    if place.rpc is not None:
        return Port("127.0.0.1", place.rpc)
    return Port(server.host, server.grpc_port, server.tls_certificate, server.tls_key)


def application(config: TreeConfig, place: Place) -> Application:
    """Return the Serve application of an instance whose tree runs.

    Whoever runs it again replaces its replicas: a new one is up before an old one goes.
    """
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
        graceful_shutdown_timeout_s=settings.server.drain_s + GRACE,
        graceful_shutdown_wait_loop_s=0.2,
        max_surge_percent=100,
        rolling_update_percentage=1.0,
    )
    rpc = rpc_port(settings, place)
    app: Application = deployment(serve.ingress()(Gateway)).bind(config, rpc)
    return app


def build(args: dict[str, str] | None = None) -> Application:
    """Start the tree on this Ray and return the application: what `import_path` names.

    Args:
        args: Settings by their dotted names, over those of the environment.
    """
    given = resolved(load_settings(args or {}), PROVIDERS)
    settings = given.model_copy(update={"lifetime": "attached"})
    place = place_of(settings)
    config = tree_config(settings, place)
    asyncio.run(_prepare(config))
    return application(config, place)


async def _prepare(config: TreeConfig) -> None:
    """Bring the database up to date and start the tree, safe to do from several at once."""
    settings, admin = config.settings, config.settings.admin
    url = postgres_url(settings)
    await migrate(url)
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        if admin.password:
            who, _ = identity(settings, pool, SystemClock())
            await who.ensure_admin(admin.email, admin.password.get_secret_value())
        if settings.bridge.enabled and settings.guests_welcome:
            desk = budget_desk(settings, pool, SystemClock())
            await limit_guests(desk, settings.bridge.guests_usd)
    await start_tree(config)


async def deploy(settings: Settings, place: Place, address: str, port: int) -> None:
    """Start the tree and the doors on a Ray that runs; they stay when this process ends."""
    spawn.connect(address, settings.instance)
    config = tree_config(settings, place)
    _say("tree")
    await _prepare(config)
    _say("serve")
    await _serve(config, place, port)
    _say("ready")


async def redeploy(settings: Settings, place: Place, address: str, port: int) -> None:
    """Replace the doors of an instance by new ones, and return when the old ones are gone."""
    spawn.connect(address, settings.instance)
    await _serve(tree_config(settings, place), place, port)


async def _serve(config: TreeConfig, place: Place, port: int) -> None:
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    app = application(config, place)
    await asyncio.to_thread(serve.run, app, name=APPLICATION, route_prefix="/", blocking=False)


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
    """Run `deploy`, `redeploy` or `remove` for an owner, which passes the facts as JSON.

    Ray is imported in this short-lived process only, so that the owner stays small.
    """
    facts: dict[str, Any] = json.loads(argv[1])
    settings = resolved(load_settings(), PROVIDERS)
    if argv[0] == "remove":
        asyncio.run(remove(settings, facts["address"], facts["grace"]))
    else:
        verb = redeploy if argv[0] == "redeploy" else deploy
        asyncio.run(verb(settings, _place(facts, settings), facts["address"], facts["port"]))
    spawn.disconnect()


def _place(facts: dict[str, Any], settings: Settings) -> Place:
    """Return the place that an owner names, or that of an instance without one."""
    if "runtime_dir" not in facts:
        return place_of(settings)
    return Place(Path(facts["runtime_dir"]), facts["run"], facts["rpc"])


if __name__ == "__main__":
    main(sys.argv[1:])
