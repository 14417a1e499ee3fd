"""The processes of a tree, what they know of each other, and what starts them again."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from actors.controls import Controls
from actors.door import Door
from actors.fleet import Fleet, Rules
from actors.hosting import HostSpec, Limits, RouteTable, SupervisorInfo, groups_of, team_of
from actors.operations import Operations, obey
from actors.orchestrator import Identity, Orchestrator
from actors.supervisor import Supervisor
from actors.worker import WorkerHost
from cartrita.channel.server import ChannelServer
from cartrita.errors import ServiceUnavailable
from cartrita.services import Services
from cartrita.storage.memory_runtime import InMemoryAudit, InMemoryOrders
from tests.simulator.agents import CATALOG, Sink
from tests.simulator.database import Database, LedgerWriter, Library, Visiting, Writer
from tests.simulator.loop import Process, SimulationLoop, current
from tests.simulator.machine import Machine, orderly, settle
from tests.simulator.network import Weather

TOKEN = "simulated"


class World(Machine):
    """One instance: its processes, its network, its database.

    Args:
        folder: Where the sockets' files lie.
        limits, rules: As the supervisors and fleets take them.
    """

    def __init__(
        self,
        loop: SimulationLoop,
        seed: str,
        folder: Path,
        *,
        weather: Weather,
        limits: Limits,
        rules: Rules,
    ) -> None:
        super().__init__(loop, seed, folder, weather)
        self.sink = Sink()
        self.database = Database(loop, random.Random(f"{seed} database"))
        self.limits, self.rules = limits, rules
        self.services = Services({Sink: lambda _: self.sink})
        self.orders = InMemoryOrders(self.database.tables)
        self.lives: dict[str, SupervisorLife] = {}
        self.heads = self.gateways = self.probes = 0
        self.head: Head | None = None
        self.gateway: Gateway
        self.starts: list[tuple[float, str, str]] = []
        """When which owner started which host."""
        self.ending = False

    async def start(self) -> None:
        """Start everything and wait until tasks can be taken."""
        self.begin_head()
        self.begin_gateway()
        assert self.head
        await self.head.begun

    def begin_head(self) -> None:
        """Start the orchestrator's process."""
        self.heads += 1
        self.head = Head(self, self.heads)

    async def steady_head(self) -> "Head":
        """Return the orchestrator once it lives and has everything up."""
        while True:
            head = self.head
            if head and head.ready:
                return head
            await asyncio.sleep(0.25)

    def begin_gateway(self) -> None:
        """Start a gateway's process."""
        self.gateways += 1
        self.gateway = Gateway(self, self.gateways)

    def life(self, shard: str) -> "SupervisorLife":
        """Return the supervisor of a shard, starting a process when there is none."""
        life = self.lives.get(shard)
        if life is None or life.over:
            life = self.lives[shard] = SupervisorLife(self, shard)
        return life

    def supervisors(self) -> list["SupervisorLife"]:
        """Return those that live."""
        return [life for life in self.lives.values() if life.process.alive]


class Head:
    """The orchestrator's process; Ray starts it again."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self.process = world.process(f"orchestrator#{number}")
        self.orchestrator = Orchestrator(Identity("build", TOKEN), Supervisors(world), world.clock)
        orders = Visiting(world.database, world.orders)
        audit = Visiting(world.database, InMemoryAudit())
        self.operations = Operations(self.orchestrator, orders, audit, CATALOG, world.clock)
        self.begun: asyncio.Future[None] = world.loop.create_future()
        self.process.start(self._begin(), "begin")
        self.process.on_death.append(self._again)

    async def _begin(self) -> None:
        while True:
            try:
                await self.operations.start({})
            except (ServiceUnavailable, TimeoutError):  # its caller asks again
                await asyncio.sleep(0.5)
            else:
                break
        self._world.outside(0.0, settle, self.begun, None, None)

    @property
    def ready(self) -> bool:
        """Whether it lives and has everything up."""
        return self.process.alive and self.begun.done()

    def _again(self) -> None:
        if not self._world.ending:
            self._world.outside(self._world.random.uniform(0.1, 2.0), self._world.begin_head)

    async def routes(self) -> RouteTable:
        """Answer a gateway."""
        await asyncio.shield(self.begun)
        return self.orchestrator.routes()


class Supervisors:
    """Starts and adopts supervisors for an orchestrator."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def ensure(self, shard: str) -> "Held":
        life = self._world.life(shard)
        info = await self._world.call(life.process, life.begin)
        return Held(self._world, life, info)


class Held:
    """A supervisor as an orchestrator holds it."""

    def __init__(self, world: World, life: "SupervisorLife", info: SupervisorInfo) -> None:
        self._world, self._life, self.info = world, life, info
        self.died = world.watch(life.process)

    async def stop(self, grace: float) -> None:
        await self._world.call(self._life.process, lambda: self._life.stop(grace), grace + 30)
        self._life.finish()
        await asyncio.wait([self.died], timeout=5.0)

    async def command(
        self, verb: str, part: str | None, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        life = self._life
        answer: dict[str, Any] = await self._world.call(
            life.process, lambda: life.controls.command(verb, part, arguments)
        )
        return answer

    async def trouble(self, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
        life = self._life
        found: list[dict[str, Any]] = await self._world.call(
            life.process, lambda: life.supervisor.trouble(known), None
        )
        return found


class SupervisorLife:
    """One process of a supervisor. Ray starts another when it dies.

    Attributes:
        over: Ended for good; whoever wants the shard starts it anew.
        remains: What still ran when it had stopped.
    """

    def __init__(self, world: World, shard: str) -> None:
        self._world, self.shard, self.over = world, shard, False
        number = sum(p.name.startswith(f"{shard}#") for p in world.processes) + 1
        self.process = world.process(f"{shard}#{number}")
        self.process.on_death.append(self._again)
        self.remains: list[str] = []
        self._lock = asyncio.Lock()
        self.stopped = False
        self.info: SupervisorInfo | None = None
        self.supervisor: Supervisor
        self.controls: Controls
        self._server: ChannelServer

    def _again(self) -> None:
        """Start the next life, as Ray does with a process that was not ended on purpose."""
        if not (self.over or self._world.ending):
            self.over = True
            self._world.outside(self._world.random.uniform(0.05, 1.0), self._succeed)

    def _succeed(self) -> None:
        if self._world.lives.get(self.shard) is self:  # nobody was quicker
            self._world.life(self.shard)

    def finish(self) -> None:
        """End it for good."""
        self.over = True
        self._world.outside(0.001, self.process.kill)

    async def begin(self) -> SupervisorInfo:
        """Take the shard and listen, unless that is done."""
        if self.stopped:
            self.process.kill()
            await asyncio.sleep(0)
        async with self._lock:
            if self.info is None:
                try:
                    self.info = await self._begin()
                except BaseException:
                    self.process.kill()
                    raise
            return self.info

    async def _begin(self) -> SupervisorInfo:
        world, shard = self._world, self.shard
        journal = Writer(world.database, shard, world.clock)
        epoch = await journal.open()
        library = Library(world.database)
        door = Door(CATALOG, Directory(world), library, world.clock, shard)
        _background(door.follow(), "follow")
        self.supervisor = Supervisor(
            shard,
            CATALOG,
            journal,
            library,
            limits=world.limits,
            clock=world.clock,
            randomness=random.Random(f"{shard} {epoch} rests"),
            calls=door,
            ledger=LedgerWriter(world.database, shard, epoch, world.clock),
        )
        fleet = Fleet(
            shard,
            groups_of(CATALOG.team(team_of(shard))),
            Hosts(world),
            clock=world.clock,
            randomness=random.Random(f"{shard} {epoch}"),
            demand=self.supervisor,
            rules=world.rules,
        )
        self.controls = Controls(self.supervisor)
        orders = Visiting(world.database, world.orders)
        ordered = partial(obey, orders, shard, self.controls, CATALOG)
        await self.supervisor.start(fleet, TOKEN, ordered)
        server = ChannelServer(shard, self.supervisor, token=TOKEN, epoch=epoch)
        self._server = orderly(server)
        address = str(await server.start(world.address()))
        _background(self._die_when_fenced(), "fence")
        return SupervisorInfo(shard, address, epoch, "build", self.process.pid, "node")

    async def _die_when_fenced(self) -> None:
        await self.supervisor.fenced.wait()
        self.process.kill()

    async def stop(self, grace: float) -> None:
        """Drain it."""
        self.stopped = True
        if self.info:
            await self.supervisor.stop(grace)
            await self._server.stop()
            await asyncio.sleep(0.01)
            self.remains = self.process.names()


def _background(work: Coroutine[Any, Any, Any], name: str) -> None:
    """Run something for as long as the present process lives, which holds on to it."""
    asyncio.create_task(work, name=name)  # noqa: RUF006


class Hosts:
    """Starts hosts for the supervisor whose process this is."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def start(self, spec: HostSpec) -> "SimulatedHost":
        world, owner = self._world, current()
        assert owner
        world.starts.append((world.loop.elapsed, owner.name, spec.host_id))
        await asyncio.sleep(world.random.uniform(0.02, 0.5))
        process = world.process(f"{spec.host_id}@{len(world.processes)}", owner)
        process.owner = owner
        worker = WorkerHost(spec, CATALOG, world.services.fresh(), world.clock)
        process.content = worker

        async def begin() -> str:
            orderly(worker.server)
            return await worker.start(world.address())

        try:
            return SimulatedHost(world, process, await world.call(process, begin))
        except BaseException:
            world.outside(0.0, process.kill)
            raise


class SimulatedHost:
    """A host as its supervisor holds it."""

    def __init__(self, world: World, process: Process, address: str) -> None:
        self._world, self._process, self.address = world, process, address
        self.pid, self.node, self.actor = process.pid, "node", ""
        self.died = world.watch(process)

    async def kill(self) -> None:
        self._world.outside(self._world.random.uniform(0.0, 0.01), self._process.kill)
        await asyncio.wait([self.died], timeout=5.0)


class Directory:
    """Finds the tree's processes."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def routes(self) -> RouteTable:
        head = self._world.head
        if head is None:
            raise ServiceUnavailable("There is no orchestrator.")
        table: RouteTable = await self._world.call(head.process, head.routes, 30)
        return table

    async def locate(self, shard: str) -> str:
        life = self._world.lives.get(shard)
        if life is None or life.over:
            raise ServiceUnavailable(f"{shard!r} does not run.")
        info = await self._world.call(life.process, life.begin, 30)
        return str(info.address)


class Gateway:
    """A process with a door."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self.process = world.process(f"gateway#{number}")
        self.door = Door(
            CATALOG, Directory(world), Library(world.database), world.clock, self.process.name
        )
        self.process.start(self.door.follow(), "follow")
        self.process.on_death.append(self._again)

    def _again(self) -> None:
        if not self._world.ending:
            self._world.outside(self._world.random.uniform(0.1, 1.0), self._world.begin_gateway)

    async def ask(self, work: Callable[[Door], Awaitable[Any]], timeout: float | None) -> Any:
        """Have a client's request handled."""
        return await self._world.call(self.process, lambda: work(self.door), timeout)
