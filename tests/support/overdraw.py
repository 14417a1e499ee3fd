"""A crowd that asks for more than a budget holds, while hosts are killed: `python -m` it."""

# ruff: noqa: T201 - a program that prints

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import asyncpg
from pydantic import Field

from actors.hosting import Limits
from cartrita.catalog import Catalog
from cartrita.clock import new_id, new_random
from cartrita.context import Context, Usage
from cartrita.cost.allowance import Allowance
from cartrita.cost.budget import Ceiling
from cartrita.cost.price import metered, nano, per_call
from cartrita.declare import Agent, Params, Result, task
from cartrita.errors import AgentFailed, CartritaError, InsufficientBudget
from cartrita.history import Sample, overspent
from cartrita.journal import Settlement, fold
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskRequest
from cartrita.services import Services
from cartrita.storage.postgres.budgets import PostgresBudgets
from cartrita.uses import uses
from tests.support.database import running_services
from tests.support.durable_tree import DurableTree, durable_tree
from tests.support.results import keep

CALLERS, FITS = 500, 37
WORST_USD, WORST_TOKENS = "0.001", 100
NANO = nano(Decimal(WORST_USD))
WHO = Principal("ada", "lab")
OPEN = "SELECT count(*) FROM reservations"
FILL = 12
"""Seconds in which all must have been answered, and then all that were accepted have ended."""


class Till:
    """Where the crowd waits until everybody was answered."""

    def __init__(self) -> None:
        self.release = asyncio.Event()


class Errand(Params):
    """What to buy: tokens, piece by piece."""

    pieces: list[int] = Field(default_factory=list)
    fails: bool = False


class Crowd(Params):
    """How many to send."""

    errands: list[list[int]]


class Done(Result):
    """How many came back."""

    done: int


class Spender(Agent, team="system", concurrency=128, intensity=100):
    """Spends money, as agents do that use a language model."""

    def __init__(self, till: Till) -> None:
        self._till = till

    @task("till.metered", cost=metered(WORST_USD, WORST_TOKENS), idempotent=True, max_attempts=9)
    async def metered(self, params: Errand, ctx: Context) -> Done:
        """Buy some, wait for the test, buy the rest."""
        half = len(params.pieces) // 2
        for place, tokens in enumerate(params.pieces):
            if place == half:
                await self._till.release.wait()
            left = Allowance.left(metered(WORST_USD, WORST_TOKENS), ctx.budget, ctx.usages)
            if left.tokens < tokens or left.usd < tokens * Decimal("0.00001"):
                raise InsufficientBudget("Its own ceiling.")
            ctx.spent(Usage(f"model-{tokens % 3}", tokens, 0, tokens * Decimal("0.00001")))
        await self._till.release.wait()
        if params.fails:
            raise AgentFailed("as told")
        return Done(done=1)

    @task("till.fixed", cost=per_call(WORST_USD), idempotent=True, max_attempts=9)
    async def fixed(self, params: Errand, ctx: Context) -> Done:
        """Wait for the test."""
        await self._till.release.wait()
        if params.fails:
            raise AgentFailed("as told")
        return Done(done=1)


class Sender(Agent, team="intelligence"):
    """Has others spend; it lives elsewhere, and is not killed with them."""

    @task("till.crowd", idempotent=True, max_attempts=9, timeout=60)
    async def crowd(self, params: Crowd, ctx: Context) -> Done:
        """Send many, and let those go on who have room once all have asked."""
        room, done = asyncio.Semaphore(60), 0

        async def send(pieces: list[int]) -> None:
            nonlocal done
            async with room:
                with suppress(CartritaError):
                    await ctx.call("till.metered", {"pieces": pieces})
                    done += 1

        await asyncio.gather(*(send(pieces) for pieces in params.errands))
        return Done(done=done)


CATALOG = Catalog.of([Spender, Sender])


@dataclass
class Toll:
    """What was seen.

    Attributes:
        most: Reservations that were open at once.
    """

    samples: list[Sample] = field(default_factory=list)
    most: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    killed: int = 0


class Scene:
    """One crowd in one database.

    Args:
        kind: Whose budget is tight: `user`, `tenant`, or `task`, the caller's own.
        unit: What it is tight in: `usd` or `tokens`.
    """

    def __init__(self, tree: DurableTree, sql: asyncpg.Connection, till: Till, seed: int) -> None:
        self.tree, self.sql, self.till, self.chance = tree, sql, till, new_random(seed)
        self.kind = ("user", "tenant", "task")[seed % 3]
        self.unit = self.chance.choice(("usd", "tokens"))
        self.task_id = new_id()
        self.budget = {"user": "user:ada", "tenant": "tenant:lab"}.get(
            self.kind, f"task:{self.task_id}"
        )
        self.toll = Toll()

    @property
    def ceiling(self) -> Ceiling:
        """Room for 37, and something that is not enough for one more."""
        if self.unit == "usd":
            return Ceiling(FITS * NANO + self.chance.randrange(NANO))
        return Ceiling(None, FITS * WORST_TOKENS + self.chance.randrange(WORST_TOKENS))

    def errand(self) -> list[int]:
        pieces, left = [], WORST_TOKENS
        while left > 0 and len(pieces) < 6 and self.chance.random() < 0.85:
            pieces.append(self.chance.randint(0, left))
            left -= pieces[-1]
        return pieces

    async def run(self) -> Toll:
        """Have them ask, kill what works, let them go, and look at what is left."""
        watching = asyncio.create_task(self.watch())
        try:
            async with asyncio.timeout(3 * FILL):
                await (self.storm_a_tree() if self.kind == "task" else self.storm_a_budget())
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self.look_back()
        return self.toll

    async def watch(self) -> None:
        """Look at the tight budget all along."""
        async with asyncpg.create_pool(self.tree._url, min_size=1, max_size=1) as pool:
            book = PostgresBudgets(pool)
            while True:
                for row in await book.find([self.budget]):
                    most = row.ceiling
                    counts = row.used_nano, row.reserved_nano
                    self.toll.samples.append(Sample(row.id, most.nano_usd, *counts))
                    counts = row.used_tokens, row.reserved_tokens
                    self.toll.samples.append(Sample(row.id, most.tokens, *counts))
                    worst = NANO if self.unit == "usd" else WORST_TOKENS
                    held = row.reserved_nano if self.unit == "usd" else row.reserved_tokens
                    self.toll.most = max(self.toll.most, held // worst)
                await asyncio.sleep(0.002)

    async def storm_a_budget(self) -> None:
        """Let 500 ask at once: 37 are accepted."""
        async with asyncpg.create_pool(self.tree._url, min_size=1, max_size=1) as pool:
            await PostgresBudgets(pool).put(self.budget, self.ceiling)
        accepted = await asyncio.gather(*(self.ask() for _ in range(CALLERS)))
        self.toll.answers.update("refused" if one is None else "accepted" for one in accepted)
        assert self.toll.answers == {"accepted": FITS, "refused": CALLERS - FITS}
        waiting = [one for one in accepted if one]
        await self.kill()
        cancelled = self.chance.sample(waiting, 5)
        await asyncio.gather(*(self.tree.door.cancel(one, WHO) for one in cancelled))
        self.till.release.set()
        await self.kill()
        for one in waiting:
            answer = await self.tree.door.get(one, WHO, FILL)
            self.toll.answers[answer["status"]] += 1

    async def ask(self) -> str | None:
        """Ask for a task; None where the budget has no room."""
        await asyncio.sleep(self.chance.random() * 0.02)
        dear = self.unit == "tokens" or self.chance.random() < 0.7
        parameters = {"pieces": self.errand(), "fails": self.chance.random() < 0.1}
        kind = "till.metered" if dear else "till.fixed"
        asked = TaskRequest(task_type=kind, parameters=parameters)
        key = new_id() if self.chance.random() < 0.3 else None
        try:
            told = await self.tree.door.submit(asked, WHO, wait=False, idempotency_key=key)
        except InsufficientBudget as error:
            if repr(self.budget) not in error.message:
                raise
            return None
        return str(told["taskId"])

    async def storm_a_tree(self) -> None:
        """Let one task call for 500 under its caller's ceiling."""
        most = self.ceiling
        usd = None if most.nano_usd is None else most.nano_usd / 10**9
        asked = TaskRequest(
            task_id=self.task_id,
            task_type="till.crowd",
            parameters={"errands": [self.errand() for _ in range(CALLERS)]},
            budget={"maxUsd": usd, "maxTokens": most.tokens},
        )
        await self.tree.door.submit(asked, WHO, wait=False)
        await self.filled()
        await self.kill()
        self.till.release.set()
        await self.kill()
        answer = await self.tree.door.get(self.task_id, WHO, 2 * FILL)
        self.toll.answers[answer["status"]] += 1
        assert answer["status"] == "COMPLETED", answer

    async def filled(self) -> None:
        """Wait until the tree holds as many as fit."""
        async with asyncio.timeout(FILL):
            while self.toll.most < FITS:  # noqa: ASYNC110 - a database tells nobody
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """Kill a host with all that runs on it, a few times."""
        for _ in range(self.chance.randint(1, 2)):
            await asyncio.sleep(self.chance.random() * 0.1)
            for host in list(self.tree.hosts.started):
                if not host.died.done() and host._host._spec.host_id.startswith("system/"):
                    await host.kill()
                    self.toll.killed += 1

    async def look_back(self) -> None:
        """Check that not a billionth and not a token is missing or too much."""
        toll = self.toll
        assert not overspent(toll.samples), overspent(toll.samples)[:3]
        assert 0 < toll.most <= FITS, toll.most
        async with asyncpg.create_pool(self.tree._url, min_size=1, max_size=1) as pool:
            async with asyncio.timeout(FILL):
                while await self.sql.fetchval(OPEN):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.01)
            (row,) = await PostgresBudgets(pool).find([self.budget])
        assert (row.reserved_nano, row.reserved_tokens) == (0, 0), row
        usd, tokens = await self.charged()
        assert (row.used_nano, row.used_tokens) == (usd, tokens), (row, usd, tokens)
        summed = await self.sql.fetchrow(
            "SELECT coalesce(sum(nano_usd), 0) AS usd, coalesce(sum(tokens), 0) AS tokens "
            "FROM usage"
        )
        assert (summed["usd"], summed["tokens"]) == (usd, tokens), summed

    async def charged(self) -> tuple[int, int]:
        """Add up what the tasks' own stories say that they used, and compare it to their ends."""
        usd = tokens = 0
        rows = await self.sql.fetch("SELECT DISTINCT task_id::text AS id FROM task_events")
        for found in rows:
            story = await self.tree.stories.story(found["id"])
            state = fold(story)
            assert state, found
            assert state.response, found
            told = Settlement.of(state.response)
            models = [use.data for use in uses(story) if use.kind == "model"]
            price = NANO * (state.record.task_type == "till.fixed" and state.status == "COMPLETED")
            assert told.nano_usd == price + sum(use["nanoUsd"] for use in models), found
            assert told.tokens == sum(use["tokensIn"] for use in models), found
            assert told.nano_usd <= NANO, found
            assert told.tokens <= WORST_TOKENS, found
            usd, tokens = usd + told.nano_usd, tokens + told.tokens
        return usd, tokens


async def overdraw(url: str, seed: int) -> Toll:
    """Run one crowd in a database of its own.

    Raises:
        AssertionError: A budget was overdrawn, or something was not settled exactly.
    """
    till = Till()
    sql = await asyncpg.connect(url)
    try:
        options = {
            "limits": Limits(2 * CALLERS, 2 * FITS),
            "given": Services({Till: lambda _: till}),
        }
        async with durable_tree(url, till, CATALOG, **options) as tree:
            return await Scene(tree, sql, till, seed).run()
    finally:
        await sql.close()


def main(argv: list[str]) -> int:
    """Run some seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args(argv)
    wrong, totals, samples, began = [], Counter(), 0, time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="ctbudgets-") as folder,
        running_services(Path(folder)) as services,
    ):
        for seed in range(asked.first, asked.first + asked.seeds):
            with services.fresh_database() as url:
                try:
                    toll = asyncio.run(overdraw(url, seed))
                except Exception as error:  # noqa: BLE001 - every seed is told
                    wrong.append(seed)
                    print(f"seed {seed}: {error!r}", flush=True)
                    continue
            totals.update(toll.answers)
            totals["killedHosts"] += toll.killed
            totals["mostAtOnce"] = max(totals["mostAtOnce"], toll.most)
            samples += len(toll.samples)
            print(f"seed {seed}: {toll.most} at once, {dict(toll.answers)}", flush=True)
    print(f"{len(wrong)} wrong" + (f": {wrong}" if wrong else ""))
    if asked.save:
        told = {"samples": samples, "seconds": round(time.monotonic() - began, 1), **totals}
        keep(asked.save, {"first": asked.first, "seeds": asked.seeds, "wrong": wrong, **told})
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
