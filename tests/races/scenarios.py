"""What is raced, and what must be true afterwards. Each scenario has a database to itself."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Any

import asyncpg

from cartrita.clock import derived_id, new_random
from cartrita.errors import ServiceUnavailable
from cartrita.journal import END_STEP, Settlement, TaskRecord, Verdict
from cartrita.storage.postgres import lane
from cartrita.storage.postgres.journal import PostgresJournal
from tests.races.proxy import Proxy
from tests.support.journals import connected
from tests.support.records import end, record

SHARDS = ("system/0", "intelligence/0")
FITS = 37
CALLERS = 500
PRICE = 1_000_000
"""Billionths of a dollar. All tasks are those of the user `ada`, whose tenant is her own."""

TABLES = "task_events, tasks, idempotency_keys, reservations, budgets, shards"
_BASE = "01a20000-0000-7000-8000-000000000000"


def _id(seed: int, number: int, what: str) -> str:
    return derived_id(_BASE, f"{seed}/{number}/{what}")


@asynccontextmanager
async def writers(*urls: str) -> AsyncIterator[list[PostgresJournal]]:
    """Give a writer of each shard."""
    async with AsyncExitStack() as stack:
        opened = []
        for url, shard in zip(urls, SHARDS, strict=True):
            journal = PostgresJournal(url, shard)
            stack.push_async_callback(journal.close)
            await journal.open()
            opened.append(journal)
        yield opened


async def ceiling(url: str, seed: int) -> dict[str, Any]:
    """Two writers admit 500 tasks against a budget that fits 37."""
    chance = new_random(seed)
    room = FITS * PRICE + chance.randrange(PRICE)
    tight, roomy = chance.sample(("user:ada", "tenant:ada"), 2)
    async with connected(url) as sql:
        await sql.executemany(
            "INSERT INTO budgets (id, max_nano_usd) VALUES ($1, $2)",
            [(tight, room), (roomy, chance.choice((None, 2 * room)))],
        )
        verdicts, most = await _crowd(url, tight, chance)
        told = Counter(verdict.kind for verdict in verdicts)
        assert told == {"accepted": FITS, "budget": CALLERS - FITS}, told
        assert {verdict.budget for verdict in verdicts if verdict.kind == "budget"} == {tight}
        assert most <= room, (most, room)
        reserved = await sql.fetch("SELECT id, reserved_nano_usd FROM budgets")
        assert {row["reserved_nano_usd"] for row in reserved} == {FITS * PRICE}, reserved
        assert await sql.fetchval("SELECT count(*) FROM reservations") == 2 * FITS
        assert await sql.fetchval("SELECT count(*) FROM task_events") == FITS
        keys = await sql.fetchval("SELECT count(*) FROM idempotency_keys")
        assert keys == FITS - await sql.fetchval(_KEYLESS)
    return {"admitted": told["accepted"], "refused": told["budget"]}


async def _crowd(url: str, budget: str, chance: random.Random) -> tuple[list[Verdict], int]:
    """Have 500 ask at about the same time; also tells the most that was taken of the budget."""
    over = asyncio.Event()
    async with writers(url, url) as open_ones:
        watching = asyncio.create_task(_watch(url, budget, over))

        async def ask(number: int) -> Verdict:
            key = f"k{number}" if chance.random() < 0.5 else None
            task = record(str(number), idempotency_key=key, reserve_nano=PRICE)
            await asyncio.sleep(chance.random() * 0.02)
            return await chance.choice(open_ones).admit(task)

        verdicts = await asyncio.gather(*(ask(number) for number in range(CALLERS)))
        over.set()
        return verdicts, await watching


_KEYLESS = """
SELECT count(*) FROM task_events e
WHERE NOT EXISTS (SELECT FROM idempotency_keys k WHERE k.task_id = e.task_id)
"""


async def _watch(url: str, budget: str, over: asyncio.Event) -> int:
    """Return the most that was ever seen taken from a budget."""
    most = 0
    async with connected(url) as sql:
        while not over.is_set():
            taken = await sql.fetchval(
                "SELECT used_nano_usd + reserved_nano_usd FROM budgets WHERE id = $1", budget
            )
            most = max(most, taken)
    return most


async def twins(url: str, seed: int) -> dict[str, Any]:
    """Requests with one key come to two shards at once; some ask for something else."""
    chance = new_random(seed)
    asked: list[TaskRecord] = []
    for number in range(60):
        asked += [
            record(chance.choice((f"{number}", f"{number}", "other")), idempotency_key=f"k{number}")
            for _ in range(chance.randint(2, 6))
        ]
    chance.shuffle(asked)
    async with writers(url, url) as open_ones:

        async def ask(task: TaskRecord) -> Verdict:
            await asyncio.sleep(chance.random() * 0.02)
            return await chance.choice(open_ones).admit(task)

        verdicts = await asyncio.gather(*map(ask, asked))
    async with connected(url) as sql:
        stored = await sql.fetch("SELECT task_id FROM task_events")
    families: dict[str, list[tuple[TaskRecord, Verdict]]] = {}
    for task, verdict in zip(asked, verdicts, strict=True):
        assert task.idempotency_key
        families.setdefault(task.idempotency_key, []).append((task, verdict))
    for family in families.values():
        ((first, _),) = [pair for pair in family if pair[1].kind == "accepted"]
        for task, verdict in family:
            assert verdict.task_id == first.task_id, verdict
            same = task.digest == first.digest
            assert (verdict.kind == "mismatch") != same, (verdict, same)
    assert len(stored) == len(families) == 60, len(stored)
    return {"requests": len(asked), "ran": len(stored)}


class Client:
    """Lets tasks live through cut connections, and keeps what it was told."""

    def __init__(self, journals: list[PostgresJournal], chance: random.Random) -> None:
        self._journals, self._chance = journals, chance
        self.verdicts: dict[str, list[Verdict]] = {}
        self.ends: dict[str, list[bool]] = {}
        self.used: dict[str, Settlement] = {}
        self.refusals = 0

    async def live(self, task: TaskRecord) -> None:
        """Admit a task, perhaps twice and on both shards, and end it, perhaps twice."""
        home, other = self._chance.sample(self._journals, 2)
        asked = [self._admit(home, task)]
        if task.idempotency_key and self._chance.random() < 0.5:
            twin = replace(task, task_id=derived_id(task.task_id, "twin"), packed=b"")
            asked.append(self._admit(other, twin))
        await asyncio.gather(*asked)
        if self.verdicts[task.task_id][-1].kind == "accepted" and self._chance.random() < 0.8:
            used = Settlement(self._chance.randrange(PRICE), self._chance.randrange(10))
            self.used[task.task_id] = used
            times = 1 + (self._chance.random() < 0.2)
            told = [home.append(end(task), used) for _ in range(times)]
            self.ends[task.task_id] = list(await asyncio.gather(*told))

    async def _admit(self, journal: PostgresJournal, task: TaskRecord) -> None:
        while task.task_id not in self.verdicts:
            with suppress(ServiceUnavailable):  # it was certainly not written: ask again
                self.verdicts.setdefault(task.task_id, []).append(await journal.admit(task))
                return
            self.refusals += 1


async def cuts(url: str, seed: int) -> dict[str, Any]:
    """Connections are cut at any point of a commit; what is answered is the truth."""
    chance = new_random(seed)
    async with connected(url) as sql:
        await sql.execute("INSERT INTO budgets (id, max_nano_usd) VALUES ('user:ada', $1)", 10**15)
    proxies = [Proxy(url, random.Random(f"{seed} {shard}"), 12) for shard in SHARDS]
    async with AsyncExitStack() as stack:
        stack.enter_context(_hasty())
        for proxy in proxies:
            await stack.enter_async_context(proxy.open())
        journals = await stack.enter_async_context(_persistent(*(proxy.url for proxy in proxies)))
        client = Client(journals, chance)
        tasks = [
            record(
                str(number),
                task_id=_id(seed, number, "task"),
                idempotency_key=chance.choice((None, f"k{number}")),
                reserve_nano=chance.choice((0, PRICE)),
            )
            for number in range(150)
        ]

        async def lives(mine: list[TaskRecord]) -> None:
            for task in mine:
                await client.live(task)

        await asyncio.gather(*(lives(tasks[first::25]) for first in range(25)))
    async with connected(url) as sql:
        await _check(sql, tasks, client)
    counted = sum((proxy.cuts for proxy in proxies), Counter())
    assert counted, "nothing was cut"
    return {"tasks": len(tasks), "cuts": counted.total()}


async def _check(sql: asyncpg.Connection, tasks: list[TaskRecord], client: Client) -> None:
    rows = await sql.fetch("SELECT task_id::text AS id, step FROM task_events")
    stored = Counter((row["id"], row["step"]) for row in rows)
    accepted = {task_id for task_id, step in stored if step == 0}
    ended = {task_id for task_id, step in stored if step == END_STEP}
    told = {i for i, (verdict,) in client.verdicts.items() if verdict.kind == "accepted"}
    assert accepted == told, accepted ^ told
    for task in tasks:
        family = {task.task_id, derived_id(task.task_id, "twin")} & client.verdicts.keys()
        assert len(family & accepted) == 1, task.task_id
        (ran,) = family & accepted
        assert {client.verdicts[one][0].task_id for one in family} == {ran}
        assert {client.verdicts[one][0].kind for one in family - {ran}} <= {"known"}
    assert ended == client.ends.keys(), ended ^ client.ends.keys()
    assert all(sum(answers) == 1 for answers in client.ends.values()), client.ends
    priced = {task.task_id for task in tasks if task.reserve_nano}
    priced |= {derived_id(task_id, "twin") for task_id in priced}
    row = await sql.fetchrow("SELECT * FROM budgets")
    assert row
    used = sum(client.used[one].nano_usd for one in ended & priced)
    assert row["used_nano_usd"] == used, (row["used_nano_usd"], used)
    open_ones = len(accepted & priced - ended)
    assert row["reserved_nano_usd"] == open_ones * PRICE, (row["reserved_nano_usd"], open_ones)
    assert await sql.fetchval("SELECT count(*) FROM reservations") == open_ones


@asynccontextmanager
async def _persistent(*urls: str) -> AsyncIterator[list[PostgresJournal]]:
    """Open writers through connections that may be cut while they are being opened, too."""
    while True:
        async with AsyncExitStack() as stack:
            with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                opened = await stack.enter_async_context(writers(*urls))
                yield opened
                return


@contextmanager
def _hasty() -> Iterator[None]:
    """Have writers try again at once."""
    before, lane.PAUSE = lane.PAUSE, 0.002
    try:
        yield
    finally:
        lane.PAUSE = before


Scenario = Callable[[str, int], Awaitable[dict[str, Any]]]

SCENARIOS: dict[str, Scenario] = {"ceiling": ceiling, "twins": twins, "cuts": cuts}


async def race(scenario: Scenario, url: str, seed: int) -> dict[str, Any]:
    """Run one scenario in an empty journal."""
    async with connected(url) as sql:
        await sql.execute(f"TRUNCATE {TABLES} CASCADE")
    async with asyncio.timeout(60):
        return await scenario(url, seed)
