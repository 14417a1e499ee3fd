"""One PostgreSQL and one Valkey for a whole test session.

They are the embedded servers themselves. An event loop in a thread of its own looks after
them, so that tests may use any loop, or none.
"""

import asyncio
import itertools
import socket
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

from cartrita.storage.embedded.keeping import Keeper
from cartrita.storage.embedded.postgres import EmbeddedPostgres
from cartrita.storage.embedded.service import ServiceSpec
from cartrita.storage.embedded.valkey import EmbeddedValkey
from cartrita.storage.postgres.migrate import migrate

T = TypeVar("T")

_TEMPLATE = "cartrita_template"
# These servers survive kill -9, not a power cut; tests need no more, and are faster for it.
_HASTY = ("-c", "fsync=off", "-c", "full_page_writes=off")


class LoopThread:
    """An event loop that runs in the background."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="services")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 60.0) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def stop(self) -> None:
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@dataclass
class Services:
    """What runs, and fresh databases in it.

    `postgres_url` is migrated and has pgvector; it is shared by all tests of the session.
    """

    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    keeper: Keeper
    loop: LoopThread
    counter: Iterator[int]

    @property
    def postgres_url(self) -> str:
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        return self.valkey.url

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Yield the address of a migrated database that nobody else uses."""
        name = f"test_{next(self.counter)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        try:
            yield urlsplit(self.postgres_url)._replace(path=f"/{name}").geturl()
        finally:
            self.loop.run(_drop(self.postgres_url, name))

    def execute(self, statement: str) -> None:
        """Run one statement in the shared database."""
        self.loop.run(_execute(self.postgres_url, statement))


@contextmanager
def running_services(tmp: Path) -> Iterator[Services]:
    """Run both servers on free ports with their data below `tmp`."""
    with ExitStack() as stack:
        runtime = stack.enter_context(tempfile.TemporaryDirectory(prefix="ctt-", dir="/tmp"))
        postgres_port, valkey_port = free_ports(2)
        postgres = EmbeddedPostgres(tmp / "postgres", Path(runtime), postgres_port)
        valkey = EmbeddedValkey(tmp / "valkey", Path(runtime), valkey_port)
        loop = LoopThread()
        stack.callback(loop.stop)
        keeper = loop.run(Keeper.launch(log_path=tmp / "keeper.log"))
        stack.callback(lambda: loop.run(keeper.close()))
        services = Services(postgres, valkey, keeper, loop, itertools.count(1))
        loop.run(_start(services), 120)
        yield services


def hasty(spec: ServiceSpec) -> ServiceSpec:
    """Return PostgreSQL's spec without the waits for the disk."""
    return replace(spec, argv=spec.argv + _HASTY)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nobody listens now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for taken in sockets:
            taken.bind(("127.0.0.1", 0))
        return [taken.getsockname()[1] for taken in sockets]


async def _start(services: Services) -> None:
    await services.postgres.prepare()
    await services.valkey.prepare()
    await services.keeper.start(hasty(services.postgres.spec()))
    await services.keeper.start(services.valkey.spec())
    await services.postgres.wait_ready(60)
    await services.valkey.wait_ready(30)
    await migrate(services.postgres_url)
    # A template must have no visitors, and the shared database has.
    await _execute(services.postgres_url, f"CREATE DATABASE {_TEMPLATE} TEMPLATE cartrita")


async def _drop(url: str, name: str) -> None:
    """Drop a database, once the server's own vacuum, which only it may end, has left it."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await _execute(url, f"DROP DATABASE {name} WITH (FORCE)")
            except asyncpg.InsufficientPrivilegeError:
                await asyncio.sleep(0.05)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
