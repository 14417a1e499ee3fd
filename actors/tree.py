"""The tree on Ray: which actor holds what, and how a driver starts and ends it."""

import asyncio
import hashlib
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import asyncpg

from actors import spawn
from actors.door import Door
from actors.fleet import Fleet
from actors.hosting import HostSpec, Limits, RouteTable, SupervisorInfo, groups_of, team_of
from actors.orchestrator import Identity, Orchestrator
from actors.supervisor import Supervisor
from actors.worker import WorkerHost
from cartrita import __version__
from cartrita.catalog import Catalog, discover
from cartrita.channel.address import Address
from cartrita.channel.server import ChannelServer
from cartrita.clock import SystemClock, new_random
from cartrita.config.settings import Settings
from cartrita.errors import ServiceUnavailable
from cartrita.instance import make_private
from cartrita.services import open_services
from cartrita.storage.postgres.journal import PostgresJournal, PostgresStories, take_epoch
from cartrita.telemetry import log
from cartrita.telemetry.metrics import ProcessUsage

AGENTS = "actors.agents"
ORCHESTRATOR = "orchestrator"
REPORT_EVERY = 5.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class TreeConfig:
    """What every actor of one instance is told. Travels through Ray, so it may hold secrets.

    Attributes:
        run: One life of the instance; restarts are counted within it.
        runtime_dir: A short private folder for sockets.
        metrics_dir: Where the processes of a node share their metrics.
        token: What the channels ask for.
        build: The code that was deployed. Told once rather than computed by each actor: a
            checkout may change under a running tree.
    """

    settings: Settings
    run: str
    build: str
    runtime_dir: Path
    metrics_dir: Path
    token: str

    @property
    def namespace(self) -> str:
        """The Ray namespace: the instance's name."""
        return self.settings.instance

    @property
    def needs(self) -> spawn.Needs:
        """What every actor's process is given: one thread for numeric code, shared metrics."""
        threads = tuple((name, "1") for name in _THREADS)
        metrics = ("PROMETHEUS_MULTIPROC_DIR", str(self.metrics_dir))
        # LangChain would send what it runs elsewhere, if a variable of the user's says so.
        return spawn.Needs(environment=(*threads, metrics, ("LANGSMITH_TRACING", "false")))


@lru_cache(maxsize=1)
def build_id() -> str:
    """Return the version and a digest of the code that runs."""
    digest = hashlib.blake2b(digest_size=6)
    top = Path(__file__).parent.parent
    for package in ("cartrita", "actors", "serve_apps"):
        for file in sorted((top / package).rglob("*.py")):
            digest.update(file.read_bytes())
    return f"{__version__}+{digest.hexdigest()}"


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """Return every declared agent and task."""
    return discover(AGENTS)


class _Actor:
    """What all actors of the tree share."""

    def __init__(self, config: TreeConfig, agent_id: str) -> None:
        telemetry = config.settings.telemetry
        log.configure(telemetry.log_level, telemetry.log_format)
        for folder in (config.runtime_dir, config.metrics_dir):
            make_private(folder)
        self.config = config
        self._usage = ProcessUsage(agent_id)
        self._starting = asyncio.Lock()

    async def watch(self) -> None:
        """Never return, so that whoever waits learns of this process's death at once."""
        while True:
            self._usage.report()
            await asyncio.sleep(REPORT_EVERY)

    def _socket(self, name: str) -> Address:
        digest = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
        return Address.unix(self.config.runtime_dir / f"{digest}.sock")


class HostActor(_Actor):
    """A process that runs workers."""

    def __init__(self, config: TreeConfig, spec: HostSpec) -> None:
        super().__init__(config, spec.host_id.rpartition(".")[0])
        self._spec = spec
        self._host = WorkerHost(spec, catalog(), open_services(config.settings))

    async def start(self) -> dict[str, Any]:
        """Build the agents and listen."""
        address = await self._host.start(self._socket(self._spec.host_id))
        return {"address": address, "pid": os.getpid(), "node": spawn.node()}


class RayHost:
    """A started host, held by its supervisor."""

    def __init__(self, actor: spawn.Spawned, started: dict[str, Any]) -> None:
        self._actor, self.died = actor, actor.died
        self.address, self.pid, self.node = started["address"], started["pid"], started["node"]

    async def kill(self) -> None:
        """End the process."""
        await self._actor.kill()


class RayHosts:
    """Starts hosts as actors that their supervisor owns."""

    def __init__(self, config: TreeConfig) -> None:
        self._config = config

    async def start(self, spec: HostSpec) -> RayHost:
        """Start a host and wait until it listens."""
        needs = replace(self._config.needs, cpus=spec.cpus, memory_mb=spec.memory_mb)
        actor = spawn.own(HostActor, self._config, spec, needs=needs)
        try:
            return RayHost(actor, await actor.call("start"))
        except BaseException:
            await actor.kill()
            raise


class SupervisorActor(_Actor):
    """A supervisor's process. Ray restarts it; each start takes a new epoch."""

    def __init__(self, config: TreeConfig, shard: str) -> None:
        super().__init__(config, shard)
        self._shard = shard
        self._supervisor: Supervisor | None = None
        self._server: ChannelServer | None = None
        self._info: dict[str, Any] = {}

    async def start(self) -> dict[str, Any]:
        """Take the shard, start the hosts, listen; or say where it listens already."""
        async with self._starting:
            if not self._info:
                self._info = await self._begin()
            return self._info

    async def _begin(self) -> dict[str, Any]:
        config, clock, build = self.config, SystemClock(), self.config.build
        limits = config.settings.limits
        url = postgres_url(config.settings)
        journal = PostgresJournal(url, self._shard, build=build, run=config.run, clock=clock)
        epoch = await journal.open()
        stories = PostgresStories(asyncpg.create_pool(url, min_size=0, max_size=2))
        supervisor = Supervisor(
            self._shard,
            catalog(),
            journal,
            stories,
            limits=Limits(limits.message_queue_size, limits.max_concurrent_tasks),
            clock=clock,
        )
        fleet = Fleet(
            self._shard,
            groups_of(catalog().team(team_of(self._shard))),
            RayHosts(config),
            clock=clock,
            randomness=new_random(),
            on_ready=supervisor.dispatch,
            on_down=supervisor.give_up,
        )
        await supervisor.start(fleet, config.token)
        self._server = ChannelServer(self._shard, supervisor, token=config.token, epoch=epoch)
        address = await self._server.start(self._socket(f"{self._shard}.{epoch}"))
        self._supervisor = supervisor
        self._fence = asyncio.create_task(self._die_when_fenced(supervisor))
        return {
            "shard": self._shard,
            "address": str(address),
            "epoch": epoch,
            "build": build,
            "pid": os.getpid(),
            "node": spawn.node(),
        }

    async def _die_when_fenced(self, supervisor: Supervisor) -> None:
        await supervisor.fenced.wait()
        spawn.die()

    async def stop(self, grace: float) -> None:
        """Drain."""
        if self._supervisor:
            await self._supervisor.stop(grace)
        if self._server:
            await self._server.stop()


class RaySupervisor:
    """A running supervisor, held by the orchestrator."""

    def __init__(self, actor: spawn.Spawned, info: SupervisorInfo) -> None:
        self._actor, self.died, self.info = actor, actor.died, info

    async def stop(self, grace: float) -> None:
        """Drain it and end it for good."""
        await self._actor.call("stop", grace, timeout=grace + 30)
        await self._actor.kill()


class RaySupervisors:
    """Starts supervisors as detached actors, or adopts those that run."""

    def __init__(self, config: TreeConfig) -> None:
        self._config = config

    async def ensure(self, shard: str) -> RaySupervisor:
        """Return the supervisor of a shard; one of another build is drained and replaced."""
        while True:
            config = self._config
            actor = spawn.root(
                SupervisorActor,
                f"supervisor:{shard}",
                config,
                shard,
                namespace=config.namespace,
                needs=config.needs,
            )
            try:
                info = SupervisorInfo(**await actor.call("start"))
            except BaseException:
                actor.forget()
                raise
            held = RaySupervisor(actor, info)
            if info.build == config.build:
                return held
            await held.stop(10.0)


class OrchestratorActor(_Actor):
    """The orchestrator's process."""

    def __init__(self, config: TreeConfig) -> None:
        super().__init__(config, ORCHESTRATOR)
        identity = Identity(config.build, config.token)
        self._orchestrator = Orchestrator(identity, RaySupervisors(config), SystemClock())
        self._self: dict[str, Any] = {}

    async def start(self) -> str:
        """Start or adopt every supervisor; returns the build that runs."""
        async with self._starting:
            if not self._self:
                url = postgres_url(self.config.settings)
                connection = await asyncpg.connect(url, timeout=10)
                epoch, restarts = await take_epoch(
                    connection, ORCHESTRATOR, build=self.config.build, run=self.config.run
                )
                await connection.close()
                await self._orchestrator.start()
                me = {"pid": os.getpid(), "node": spawn.node()}
                self._self = {**me, "epoch": epoch, "restarts": restarts}
            return self.config.build

    async def routes(self) -> dict[str, Any]:
        """Return the route table; starts what is not started, as after a restart by Ray."""
        await self.start()
        return self._orchestrator.routes().to_wire()

    async def snapshot(self) -> dict[str, Any]:
        """Return the tree from above."""
        await self.start()
        return {**self._orchestrator.snapshot(), **self._self, "buildId": self.config.build}

    async def stop(self, grace: float) -> None:
        """End the supervisors."""
        await self._orchestrator.stop(grace)


class RayDirectory:
    """Finds the tree's actors by their names."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    async def routes(self) -> RouteTable:
        """Ask the orchestrator."""
        orchestrator = spawn.find(ORCHESTRATOR, self._namespace)
        return RouteTable(**await spawn.call(orchestrator, "routes", timeout=30))

    async def snapshot(self) -> dict[str, Any]:
        """Ask the orchestrator for the tree from above."""
        orchestrator = spawn.find(ORCHESTRATOR, self._namespace)
        found: dict[str, Any] = await spawn.call(orchestrator, "snapshot", timeout=5)
        return found

    async def locate(self, shard: str) -> str:
        """Ask a supervisor, which Ray may just be restarting."""
        supervisor = spawn.find(f"supervisor:{shard}", self._namespace)
        info = await spawn.call(supervisor, "start", timeout=30)
        return str(info["address"])


def postgres_url(settings: Settings) -> str:
    """Return the address of the database.

    Raises:
        ServiceUnavailable: The settings name none.
    """
    url = settings.postgres.dsn
    if url is None:
        raise ServiceUnavailable("No Postgres is named: set CARTRITA_POSTGRES__URL.")
    return url.get_secret_value()


def open_door(settings: Settings, directory: RayDirectory, pool: asyncpg.Pool, name: str) -> Door:
    """Return a door for a process that belongs to the tree's Ray."""
    stories, limit = PostgresStories(pool), settings.limits.max_parameters_bytes
    return Door(catalog(), directory, stories, SystemClock(), name, limit)


async def start_tree(config: TreeConfig) -> None:
    """Start or adopt the orchestrator, and wait until the tree can take tasks."""
    actor = spawn.root(
        OrchestratorActor, ORCHESTRATOR, config, namespace=config.namespace, needs=config.needs
    )
    build = await actor.call("start", timeout=180)
    if build != config.build:
        await actor.call("stop", 10.0, timeout=60)
        await actor.kill()
        await start_tree(config)
        return
    actor.forget()


async def stop_tree(namespace: str, grace: float = 10.0) -> None:
    """Drain and end the tree of an instance, from the leaves to the root."""
    orchestrator = spawn.Spawned(spawn.find(ORCHESTRATOR, namespace))
    await orchestrator.call("stop", grace, timeout=3 * grace + 60)
    await orchestrator.kill()
