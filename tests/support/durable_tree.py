"""The whole tree in one process, over a journal in PostgreSQL."""

import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from actors.local import LocalTree
from cartrita.storage.postgres.effects import PostgresEffectBook, PostgresLedger
from cartrita.storage.postgres.journal import PostgresJournal
from cartrita.storage.postgres.stories import PostgresStories
from tests.support.stage import services


class DurableTree(LocalTree):
    """A tree whose supervisors write to a database."""

    def __init__(self, url, *args, **options):
        super().__init__(*args, **options)
        self._url = url

    def journal(self, shard):
        return PostgresJournal(self._url, shard, run="one life", budgets=self.ceilings)

    def ledger(self, shard, epoch):
        return PostgresLedger(self._url, shard, epoch)


@asynccontextmanager
async def durable_tree(url, stage, catalog, given=None, **options):
    """Run the whole tree over a database; its agents are given the stage, or what is `given`."""
    folder = Path(tempfile.mkdtemp(prefix="ctd-", dir="/tmp"))
    try:
        async with asyncpg.create_pool(url, min_size=0, max_size=4) as pool:
            options |= {"stories": PostgresStories(pool), "book": PostgresEffectBook(pool)}
            tree = DurableTree(url, catalog, given or services(stage), folder, **options)
            await tree.operations.start({})
            try:
                yield tree
            finally:
                stage.release.set()
                tree.door.close()
                await tree.orchestrator.stop(grace=1.0)
    finally:
        shutil.rmtree(folder)
