"""Effect ledgers and their books, in memory and in a database of the test's own."""

import pytest

from cartrita.effects import Finding, State
from cartrita.journal import TaskRecord
from cartrita.ledger import Intent
from cartrita.protocol.principal import Principal
from cartrita.storage.memory_effects import InMemoryEffectBook, InMemoryLedger
from cartrita.storage.memory_journal import InMemoryJournal, JournalTables
from cartrita.storage.postgres.effects import PostgresEffectBook, PostgresLedger
from tests.support.journals import Durable
from tests.support.records import record

BEGUN, DONE, NOT_DONE, UNKNOWN = State
SENT = Finding.done({"receipt": 7})


def intent(task: TaskRecord | None = None, key="ada", attempt=1, name="email"):
    """Return what an attempt at a task intends."""
    return Intent.of(task or record(), attempt, name, key)


async def doubtful(tables, user="ada", name="email", key="ada", shard="effects/0"):
    """Leave an effect of a user's behind that nobody knows of; returns its id."""
    journal = InMemoryJournal(tables, shard)
    ledger = InMemoryLedger(tables, shard, await journal.open())
    one = intent(record(principal=Principal(user, user)), key, name=name)
    await ledger.begin(one)
    await ledger.end(one, Finding.unknown(), of=BEGUN)
    return one.id


class InMemory:
    """Fixtures `book` and `taken`, which takes a shard anew: its journal and its ledger."""

    @pytest.fixture
    def tables(self):
        return JournalTables()

    @pytest.fixture
    def book(self, tables):
        return InMemoryEffectBook(tables)

    @pytest.fixture
    def taken(self, tables):
        async def take(shard):
            journal = InMemoryJournal(tables, shard)
            return journal, InMemoryLedger(tables, shard, await journal.open())

        return take


class InPostgres(Durable):
    """The same beside the journal's tables."""

    @pytest.fixture
    def book(self, pool):
        return PostgresEffectBook(pool)

    @pytest.fixture
    async def taken(self, opened, database_url):
        ledgers = []

        async def take(shard):
            journal = await opened(shard)
            ledger = PostgresLedger(database_url, shard, journal.epoch)
            ledgers.append(ledger)
            return journal, ledger

        yield take
        for ledger in ledgers:
            await ledger.close()


class Shard:
    """Fixtures of one shard."""

    @pytest.fixture
    async def shard(self, taken):
        return await taken("system/0")

    @pytest.fixture
    async def ledger(self, shard):
        return shard[1]
