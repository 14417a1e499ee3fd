"""The tree on Ray: which actor holds what, and how a driver starts and ends it."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import asyncpg

from actors import spawn
from actors.commands import Command
from actors.controls import Controls
from actors.directory import ORCHESTRATOR, RayDirectory, host_name, open_door, supervisor_name
from actors.exporting import Exports
from actors.fleet import Fleet
from actors.forgetting import forget
from actors.hosting import HostSpec, Limits, SupervisorInfo, groups_of, team_of
from actors.operations import Operations, obey
from actors.orchestrator import Identity, Orchestrator
from actors.patrol import Patrol
from actors.process import Process, whereabouts
from actors.renewal import renew
from actors.setup import Network, TreeConfig, catalog, postgres_url
from actors.supervisor import Supervisor
from actors.worker import WorkerHost
from cartrita.channel.server import ChannelServer
from cartrita.clock import SystemClock, new_random
from cartrita.cost.budget import Defaults
from cartrita.garbage import leave_alone
from cartrita.openers.tracing import open_tracer
from cartrita.openers.vault import Watch
from cartrita.providers.ports import ExternalAgents
from cartrita.roster import Roster
from cartrita.services import blob_spill, blob_store, open_services
from cartrita.storage.postgres.effects import PostgresLedger
from cartrita.storage.postgres.external import PostgresRegistry
from cartrita.storage.postgres.journal import PostgresJournal, take_epoch
from cartrita.storage.postgres.retention import PostgresRetention
from cartrita.storage.postgres.runtime import PostgresAudit, PostgresOrders
from cartrita.storage.postgres.stories import PostgresStories
from cartrita.telemetry import log, metrics
from cartrita.telemetry.metrics import resident
from cartrita.telemetry.span import Tracer

SELF = "orchestrator"
"""What it is called in the database and in metrics."""
COMMAND_TIMEOUT = 4000.0
"""Seconds: a grace may be an hour."""
DRAIN_TIMEOUT = 90_000.0
"""Seconds a shard may take to empty: longer than any task may."""


class HostActor(Process):
    """A process that runs workers."""

    def __init__(self, config: TreeConfig, spec: HostSpec) -> None:
        agents = ", ".join(spec.agents)
        super().__init__(config, spec.host_id.rpartition(".")[0], f"{spec.host_id}: {agents}")
        log.heed(spec.log_level)
        self._spec = spec
        settings, clock = config.settings, SystemClock()
        spill = blob_spill(settings, blob_store(settings, clock))
        self._host = WorkerHost(spec, catalog(settings), open_services(settings), clock, spill)

    async def start(self) -> dict[str, Any]:
        """Build the agents and listen."""
        await self._host.prepare()
        leave_alone()
        address = await Network(self.config).listen(self._host.server, self._spec.host_id)
        self.export()
        return {"address": address, **whereabouts()}


class RayHost:
    """A started host, held by its supervisor."""

    def __init__(self, actor: spawn.Spawned, started: dict[str, Any]) -> None:
        self._actor, self.died = actor, actor.died
        self.address, self.pid, self.node = started["address"], started["pid"], started["node"]
        self.actor = started["actor"]

    async def kill(self) -> None:
        """End the process."""
        await self._actor.kill()


class RayHosts:
    """Starts hosts as actors that their supervisor owns."""

    def __init__(self, config: TreeConfig) -> None:
        self._config = config

    async def start(self, spec: HostSpec) -> RayHost:
        """Start a host and wait until it listens."""
        config = self._config
        needs = replace(config.needs, cpus=spec.cpus, memory_mb=spec.memory_mb)
        place = {"name": host_name(spec), "namespace": config.namespace}
        actor = await spawn.own(HostActor, config, spec, needs=needs, **place)
        try:
            return RayHost(actor, await actor.call("start"))
        except BaseException:
            await actor.kill()
            raise


class SupervisorActor(Process):
    """A supervisor's process. Ray restarts it; each start takes a new epoch."""

    def __init__(self, config: TreeConfig, shard: str) -> None:
        super().__init__(config, shard, f"supervisor of {shard}")
        self._shard = shard
        self._supervisor: Supervisor | None = None
        self._controls: Controls | None = None
        self._server: ChannelServer | None = None
        self._tracer: Tracer | None = None
        self._info: dict[str, Any] = {}
        self._stopped = False

    async def start(self) -> dict[str, Any]:
        """Take the shard, start the hosts, listen; or say where it listens already."""
        if self._stopped:  # whoever stopped us died before ending us
            spawn.die()
        async with self._starting:
            if not self._info:
                try:
                    self._info = await self._begin()
                except BaseException:
                    if self._supervisor:  # its hosts may run: a fresh process starts over
                        spawn.die()
                    raise
            return self._info

    async def _begin(self) -> dict[str, Any]:
        config, clock, team = self.config, SystemClock(), team_of(self._shard)
        limits, network = config.settings.limits, Network(config)
        tasks = catalog(config.settings)
        url = postgres_url(config.settings)
        journal = PostgresJournal(
            url,
            self._shard,
            build=config.build,
            run=config.run,
            clock=clock,
            budgets=Defaults.named(config.settings.budgets.limits),
        )
        epoch = await journal.open()
        pool = await asyncpg.create_pool(url, min_size=0, max_size=2)
        stories = PostgresStories(pool)
        door = open_door(
            config,
            RayDirectory(config.namespace),
            stories,
            self._shard,
            network,
            roster=Roster(tasks, PostgresRegistry(pool), clock),
        )
        self._following = asyncio.create_task(door.follow())
        self._tracer = open_tracer(config.settings, f"{self._shard}.{epoch}")
        self._supervisor = Supervisor(
            self._shard,
            tasks,
            journal,
            stories,
            limits=Limits(limits.message_queue_size, limits.max_concurrent_tasks),
            clock=clock,
            randomness=new_random(),
            calls=door,
            ledger=PostgresLedger(url, self._shard, epoch),
            tracer=self._tracer,
        )
        fleet = Fleet(
            self._shard,
            groups_of(tasks.team(team)),
            RayHosts(config),
            clock=clock,
            randomness=new_random(),
            demand=self._supervisor,
            rules=config.rules(team),
            connect=network.connect,
        )
        controls = self._controls = Controls(self._supervisor)
        ordered = partial(obey, PostgresOrders(pool), self._shard, controls, tasks)
        await self._supervisor.start(fleet, config.token, ordered)
        server = self._server = ChannelServer(
            self._shard, self._supervisor, token=config.token, epoch=epoch
        )
        address = await network.listen(server, f"{self._shard}.{epoch}")
        self._fence = asyncio.create_task(self._die_when_fenced(self._supervisor))
        every = config.settings.retention.every_s
        retention = PostgresRetention(pool, clock)
        self._forgetting = asyncio.create_task(forget(retention, config.keep, every))
        vault = Watch(config.settings)
        again = config.settings.vault.refresh_s
        self._renewing = asyncio.create_task(renew(vault, again, fleet))
        leave_alone()
        self.export()
        me = {"shard": self._shard, "address": address, "epoch": epoch, "build": config.build}
        return {**me, **whereabouts()}

    async def _die_when_fenced(self, supervisor: Supervisor) -> None:
        await supervisor.fenced.wait()
        spawn.die()

    async def command(
        self, verb: str, part: str | None, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        """Carry out a command of the orchestrator's."""
        await self.start()
        assert self._controls
        return await self._controls.command(verb, part, arguments)

    async def trouble(self, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Wait until other groups than `known` are in trouble, and return all that are."""
        await self.start()
        assert self._supervisor
        return await self._supervisor.trouble(known)

    async def stop(self, grace: float) -> None:
        """Drain."""
        self._stopped = True
        if self._supervisor:
            await self._supervisor.stop(grace)
        if self._server:
            await self._server.stop()
        metrics.write()
        if self._tracer:
            await asyncio.to_thread(self._tracer.close)


class RaySupervisor:
    """A running supervisor, held by the orchestrator."""

    def __init__(self, actor: spawn.Spawned, info: SupervisorInfo) -> None:
        self._actor, self.died, self.info = actor, actor.died, info

    async def stop(self, grace: float) -> None:
        """Drain it and end it for good."""
        try:
            await self._actor.call("stop", grace, timeout=grace + 30)
        finally:
            await self._actor.kill()

    async def command(
        self, verb: str, part: str | None, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        """Have it carry out a command."""
        timeout = DRAIN_TIMEOUT if verb == "DRAIN" else COMMAND_TIMEOUT
        found: dict[str, Any] = await self._actor.call(
            "command", verb, part, arguments, timeout=timeout
        )
        return found

    async def trouble(self, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Wait until other groups than `known` are in trouble, and return all that are."""
        found: list[dict[str, Any]] = await self._actor.call(
            "trouble", known, timeout=DRAIN_TIMEOUT
        )
        return found


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
                supervisor_name(shard),
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


class OrchestratorActor(Process):
    """The orchestrator's process."""

    def __init__(self, config: TreeConfig) -> None:
        super().__init__(config, SELF, f"orchestrator of {config.namespace}, {config.build}")
        self._exports, self._clock = Exports(), SystemClock()
        identity = Identity(config.build, config.token)
        self._orchestrator = Orchestrator(identity, RaySupervisors(config), SystemClock())
        self._operations: Operations | None = None
        self._self: dict[str, Any] = {}

    async def start(self) -> str:
        """Start or adopt every supervisor; returns the build that runs."""
        async with self._starting:
            if not self._self:
                self._self = await self._begin()
            return self.config.build

    async def _begin(self) -> dict[str, Any]:
        self.export()  # before the others can: scrapes cost no task anything here
        config, clock = self.config, SystemClock()
        url = postgres_url(config.settings)
        connection = await asyncpg.connect(url, timeout=10)
        epoch, restarts = await take_epoch(connection, SELF, build=config.build, run=config.run)
        await connection.close()
        pool = await asyncpg.create_pool(url, min_size=0, max_size=2)
        operations = Operations(
            self._orchestrator,
            PostgresOrders(pool),
            PostgresAudit(pool),
            catalog(config.settings),
            clock,
        )
        await operations.start(config.shards)
        self._operations = operations
        agents = await open_services(config.settings).get(ExternalAgents)
        patrol = Patrol(PostgresRegistry(pool), agents, clock, new_random())
        self._patrol = asyncio.create_task(patrol.run(), name="patrol")
        dashboard = config.settings.ray.dashboard_url or await asyncio.to_thread(spawn.dashboard)
        me = whereabouts()
        me |= {"actorId": me.pop("actor"), "dashboard": dashboard}
        return {**me, "epoch": epoch, "restarts": restarts}

    async def exported(self, node: str, address: str) -> None:
        """Note where a node's metrics are served."""
        self._exports.note(node, address, self._clock.monotonic())

    async def told(self) -> TreeConfig:
        """Return what the tree was told, for programs that have joined its Ray."""
        return self.config

    async def routes(self) -> dict[str, Any]:
        """Return the route table; starts what is not started, as after a restart by Ray."""
        await self.start()
        return self._orchestrator.routes().to_wire()

    async def snapshot(self) -> dict[str, Any]:
        """Return the tree from above."""
        await self.start()
        exports = self._exports.rows(spawn.node(), self._clock.monotonic())
        me = {**self._self, "memoryBytes": resident(), "exports": exports}
        return {**self._orchestrator.snapshot(), **me, "buildId": self.config.build}

    async def command(self, command: Command) -> dict[str, Any]:
        """Carry out an operator's command."""
        await self.start()
        assert self._operations
        return await self._operations.carry_out(command)

    async def stop(self, grace: float) -> None:
        """End the supervisors."""
        await self._orchestrator.stop(grace)


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
