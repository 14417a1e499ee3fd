"""A PostgreSQL of the benchmark's own: the embedded one, as an instance runs it."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from cartrita.cli.head import free_ports
from cartrita.storage.embedded.keeping import Keeper
from cartrita.storage.embedded.postgres import EmbeddedPostgres
from cartrita.storage.postgres.migrate import migrate


@asynccontextmanager
async def database() -> AsyncIterator[tuple[str, psutil.Process]]:
    """Run a migrated database that waits for the disk; give its address and its postmaster."""
    with tempfile.TemporaryDirectory(prefix="ctb-", dir="/tmp") as folder:
        home = Path(folder)
        postgres = EmbeddedPostgres(home / "postgres", home / "run", free_ports(1)[0])
        await postgres.prepare()
        keeper = await Keeper.launch(log_path=home / "keeper.log")
        try:
            await keeper.start(postgres.spec())
            await postgres.wait_ready()
            await migrate(postgres.url)
            (state,) = await keeper.states()
            assert state.pid
            yield postgres.url, psutil.Process(state.pid)
        finally:
            await keeper.close()
