"""One supervisor by itself, with real hosts and a journal that obeys the test."""

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import replace

from actors.fleet import Fleet
from actors.hosting import Limits, groups_of
from actors.local import LocalHosts
from actors.supervisor import Supervisor
from cartrita.clock import SystemClock
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from tests.support.processes import eventually
from tests.support.records import record
from tests.support.stage import CATALOG, services


class Told(InMemoryJournal):
    """Decides about admissions and appends as a test says, then as its parent does.

    Attributes:
        verdicts: The next admissions' outcomes.
        hold: Whether everything waits for `let_go`.
        held: What waits.
    """

    def __init__(self, tables, shard):
        super().__init__(tables, shard)
        self.verdicts: list = []
        self.held: list = []
        self.hold = False

    def admit(self, task):
        future = asyncio.get_running_loop().create_future()
        if self.hold:
            self.held.append((future, super().admit, task))
            return future
        if not self.verdicts:
            return super().admit(task)
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, Exception):
            future.set_exception(verdict)
        else:
            future.set_result(replace(verdict, task_id=verdict.task_id or task.task_id))
        return future

    def append(self, event, settlement=None):
        if not self.hold:
            return super().append(event, settlement)
        future = asyncio.get_running_loop().create_future()
        self.held.append((future, super().append, event))
        return future

    def let_go(self):
        """Do what was held up, and everything from now on at once."""
        self.hold = False
        for future, act, what in self.held:
            future.set_result(act(what).result())
        self.held.clear()

    @property
    def held_events(self):
        return [event for _, act, event in self.held if act.__name__ == "append"]


class Heard:
    """A caller who notes what is sent in the course of its request.

    It takes as many events as it has `credit` for.
    """

    def __init__(self, credit=1 << 20, timeout=10.0):
        self.timeout, self.trace, self.peer = timeout, None, "test"
        self.entries: list = []
        self.credit = asyncio.Semaphore(credit)

    async def send(self, payload):
        await self.credit.acquire()
        self.entries.append(payload)

    def emit(self, payload):
        self.entries.append(payload)


class Bench:
    """One supervisor without doors or orchestrator: requests are calls."""

    def __init__(self, stage, folder, *, limits=None, catalog=CATALOG, tables=None, clock=None):
        self.tables, self.catalog = tables or JournalTables(), catalog
        self.clock = clock or SystemClock()
        self.journal = Told(self.tables, "system/0")
        self.supervisor = Supervisor(
            "system/0",
            catalog,
            self.journal,
            self.tables,
            limits=limits or Limits(),
            clock=self.clock,
            randomness=random.Random(2),
        )
        self.hosts = LocalHosts(catalog, services(stage), folder)

    async def start(self, demand=None):
        """Start the supervisor; `demand` may stand between it and its fleet."""
        self.fleet = Fleet(
            "system/0",
            groups_of(self.catalog.team("system")),
            self.hosts,
            clock=self.clock,
            randomness=random.Random(1),
            demand=demand or self.supervisor,
        )
        await self.journal.open()
        await self.supervisor.start(self.fleet, "token")

    def task(self, name="test.echo", text="hello", **fields):
        """Return a task that this supervisor can be given."""
        now = self.clock.now()
        return record(
            text, **({"task_type": name, "accepted_at": now, "deadline": now + 20} | fields)
        )

    def submit(self, task, wait=True):
        return asyncio.create_task(self.ask("submit", [task.pack(), wait]))

    async def ask(self, method, payload, call=None):
        return await self.supervisor.handle(method, payload, call)

    def read(self, task, after=-1, **options):
        """Begin to read a task's log; returns who hears and who reads."""
        heard = Heard(**options)
        return heard, asyncio.create_task(self.ask("events", [task.task_id, after], heard))

    async def kill(self, agent):
        """Kill the host of an agent, once it has one."""
        (slot,) = self.fleet.crew(agent).slots
        assert await eventually(lambda: slot.host and not slot.host.handle.died.done(), 5)
        await slot.host.handle.kill()

    async def cancel(self, task):
        return await self.ask("cancel", task.task_id)

    def shown(self):
        return self.supervisor.snapshot()


@asynccontextmanager
async def running(stage, folder, demand=None, **options):
    """Run a bench; `demand` makes what stands between its supervisor and its fleet."""
    bench = Bench(stage, folder, **options)
    await bench.start(demand(bench.supervisor) if demand else None)
    try:
        yield bench
    finally:
        stage.release.set()
        await bench.supervisor.stop(grace=1)
