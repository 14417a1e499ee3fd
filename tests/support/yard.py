"""A fleet over hosts that do nothing but answer on real channels."""

import asyncio
import random
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from actors.fleet import Fleet
from actors.hosting import groups_of
from cartrita.channel.address import Address
from cartrita.channel.server import ChannelServer
from cartrita.clock import SystemClock
from cartrita.context import Context
from cartrita.declare import Agent, Needs, Params, Result, task
from tests.support.processes import eventually


class Nothing(Params):
    """Takes nothing."""


def agent(name, **options):
    """Declare an agent."""

    async def work(self, params: Nothing, ctx: Context) -> Result:
        """Work."""
        return Result()

    body = {"__doc__": f"Is {name}.", "work": task(name)(work)}
    return type(name, (Agent,), body, **{"team": "system", "intensity": 2, **options}).spec


OWN = Needs(isolation="own")


@dataclass(eq=False)
class FakeHost:
    """A host that only answers on its channel.

    Attributes:
        mute: It does not answer heartbeats any more.
        stuck: How many threads it says are stuck.
    """

    hosts: "FakeHosts"
    spec: object
    pid: int = 1
    node: str = "n"
    actor: str = ""
    address: str = ""
    mute: bool = False
    stuck: int = 0

    def __post_init__(self):
        spec = self.spec
        self.server = ChannelServer(spec.host_id, self, token=spec.token, epoch=spec.epoch)
        self.died = asyncio.get_running_loop().create_future()
        self.beats, self.level = 0, ""

    @property
    def name(self):
        """Return its id without the shard's name."""
        return self.spec.host_id.partition(".")[2]

    async def handle(self, method, payload, call):
        """Answer heartbeats."""
        assert method == "beat"
        self.beats += 1
        self.level = payload
        if self.mute:
            await asyncio.Event().wait()
        return {"stuck": self.stuck}

    async def kill(self):
        """End it because the fleet says so."""
        self.hosts.log.append(f"kill {self.spec.host_id}")
        if self.hosts.undying:
            raise OSError("it does not die")
        await self.die()

    async def die(self, why="died"):
        """End."""
        if not self.died.done():
            self.died.set_result(why)
        for _ in range(10):  # asyncio leaks a connection that is being accepted as it closes
            await asyncio.sleep(0)
        await self.server.stop()


@dataclass
class FakeHosts:
    """Starts hosts as a test says: `troubles` are raised or awaited one by one."""

    folder: Path
    troubles: list = field(default_factory=list)
    started: list = field(default_factory=list)
    log: list = field(default_factory=list)
    unreachable: bool = False
    undying: bool = False

    async def start(self, spec):
        """Start a host."""
        self.log.append(f"start {spec.host_id}")
        if self.troubles:
            trouble = self.troubles.pop(0)
            if isinstance(trouble, Exception):
                raise trouble
            await trouble
        host = FakeHost(self, spec)
        where = await host.server.start(Address.unix(self.folder / f"{len(self.log)}"))
        host.address = "unix:/none" if self.unreachable else str(where)
        self.started.append(host)
        return host


class Yard:
    """A fleet over fake hosts; it is its own demand.

    Attributes:
        waits: How many tasks wait for each agent.
        services: How long a task of each agent takes.
        offers: How often the fleet said that it can take work.
        downs: The groups that were given up.
        quarantines: The groups that were quarantined.
    """

    def __init__(self, folder):
        self.hosts, self.offers, self.reliefs = FakeHosts(folder), 0, 0
        self.downs, self.quarantines = [], []
        self.waits, self.services = {}, {}
        self.clock = SystemClock()

    async def start(self, *agents, rules=None):
        """Start a fleet of these agents."""
        self.fleet = Fleet(
            "system/0",
            groups_of(list(agents)),
            self.hosts,
            clock=self.clock,
            randomness=random.Random(1),
            demand=self,
            rules=rules,
        )
        await self.fleet.start("the token", 3)
        return self.fleet

    def dispatch(self):
        self.offers += 1

    def give_up(self, group, *, quarantined):
        (self.quarantines if quarantined else self.downs).append(group.name)

    def relieved(self):
        self.reliefs += 1

    def waiting(self, agent):
        return self.waits.get(agent, 0)

    def service(self, agent):
        return self.services.get(agent, 0.0)

    async def until(self, condition):
        """Wait for what no event announces."""
        assert await eventually(condition, 5)

    async def ticks(self, number=3):
        """Wait until the fleet has looked at its load so often."""
        looks = []
        self.waiting = lambda agent: looks.append(agent) or self.waits.get(agent, 0)
        await self.until(lambda: len(looks) > 2 * number * len(self.fleet.crews))
        del self.waiting

    async def ready(self, *names):
        """Wait until these agents can take work."""
        await self.until(lambda: set(names) <= set(self.fleet.ready()))

    def slots(self, group):
        """Return the slots of a group."""
        return self.fleet.crews[group].slots

    def host(self, group, number=0):
        """Return the host in a slot of a group, if there is one."""
        return self.slots(group)[number].host

    def row(self, name):
        """Return a host as the tree shows it."""
        return next(row for row in self.fleet.snapshot() if row["id"] == f"system/0.{name}")

    @property
    def alive(self):
        """The names of the hosts that run."""
        return [host.name for host in self.hosts.started if not host.died.done()]


@asynccontextmanager
async def open_yard():
    """Give a yard, and clear it up."""
    folder = Path(tempfile.mkdtemp(prefix="ctf-", dir="/tmp"))
    one = Yard(folder)
    try:
        yield one
    finally:
        one.hosts.undying = False
        await one.fleet.stop()
        for host in one.hosts.started:
            await host.die()
        shutil.rmtree(folder)
