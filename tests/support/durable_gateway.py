"""The real gateway over a tree and accounts in databases, which a test may stop."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager

import asyncpg
import psutil

from actors.budgetdesk import BudgetDesk
from cartrita.clock import SystemClock
from cartrita.people.desk import Cupboard, PeopleDesk
from cartrita.providers.probes import ProbeSet
from cartrita.storage.postgres.budgets import PostgresBudgets
from cartrita.storage.postgres.documents import PostgresDocuments
from cartrita.storage.postgres.effects import PostgresEffectBook
from cartrita.storage.postgres.listing import PostgresTasks
from cartrita.storage.postgres.people import PostgresPeople
from cartrita.storage.postgres.said import PostgresHistory
from cartrita.storage.postgres.stories import PostgresStories
from cartrita.storage.postgres.users import PostgresUsers
from cartrita.storage.probes import PostgresProbe, RedisProbe
from cartrita.storage.valkey_counters import ValkeyCounters
from tests.support.api_server import short_folder
from tests.support.database import hasty
from tests.support.durable_tree import DurableTree
from tests.support.gateway import Stand, spoken_to
from tests.support.stage import Echo


class DurableStand(Stand):
    """A stand of which nothing is lost with the process."""

    pool: asyncpg.Pool
    url: str

    @asynccontextmanager
    async def grown(self, catalog, services, limiter):
        options = {"stories": PostgresStories(self.pool), "book": PostgresEffectBook(self.pool)}
        options |= {"budgets": self.budgets}
        tree = DurableTree(
            self.url, catalog, services, self.folder, limits=self.limits, limiter=limiter, **options
        )
        accounts = PostgresBudgets(self.pool)
        tree.budgets = BudgetDesk(accounts, tree.ceilings, tree.audit, tree.clock)
        await tree.operations.start({})
        try:
            yield tree
        finally:
            self.stage.release.set()
            tree.door.close()
            await tree.orchestrator.stop(grace=1.0)

    def listing(self):
        return PostgresTasks(self.pool)

    def people(self):
        kept = Cupboard(PostgresDocuments(self.pool), PostgresHistory(self.pool))
        return PeopleDesk(self.identity, PostgresPeople(self.pool), kept, SystemClock(), 86_400)


@asynccontextmanager
async def durable_gateway(url, redis_url, **options):
    """Run the gateway over a database and a Valkey, and give a client of it."""
    with short_folder() as folder:
        async with asyncpg.create_pool(url, min_size=0, max_size=5) as pool:
            probes = ProbeSet([PostgresProbe(url), RedisProbe(redis_url)])
            counters = ValkeyCounters(redis_url)
            stand = DurableStand(
                folder, agents=(Echo,), clock=SystemClock(), users=PostgresUsers(pool),
                probes=probes, counters=counters, **options,
            )  # fmt: skip
            stand.pool, stand.url = pool, url
            async with spoken_to(stand) as api:
                yield api


class Server:
    """Kills, pauses, stops and starts one of a module's own servers.

    Args:
        services: Of which only this test module knows.
        name: `postgres` or `valkey`.
    """

    def __init__(self, services, name="postgres"):
        self._services, self._name = services, name
        self._program = getattr(services, name)

    async def _ask(self, work):
        return await asyncio.to_thread(self._services.loop.run, work)

    async def _pid(self):
        states = await self._ask(self._services.keeper.states())
        (pid,) = [state.pid for state in states if state.name == self._name]
        return pid

    async def kill(self):
        """End it by SIGKILL; its keeper starts it again."""
        os.kill(await self._pid(), signal.SIGKILL)

    async def pause(self):
        """Have it and its children do nothing, not even refuse."""
        self._paused = psutil.Process(await self._pid())
        for one in (self._paused, *self._paused.children()):
            one.suspend()

    def resume(self):
        for one in (self._paused, *self._paused.children()):
            one.resume()

    async def stop(self):
        await self._ask(self._services.keeper.stop(self._name))

    async def start(self):
        spec = self._program.spec()
        await self._ask(
            self._services.keeper.start(hasty(spec) if self._name == "postgres" else spec)
        )
        await self._ask(self._program.wait_ready(30))
