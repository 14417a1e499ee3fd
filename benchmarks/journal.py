"""What does group commit bring? Durable accept+finish pairs, next to two statements a task.

python -m benchmarks.journal [--seconds 3] [--rounds 5]
"""

import argparse
import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import asyncpg
import psutil
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.database import database
from benchmarks.harness import cpu_seconds, save
from cartrita.channel.frames import pack
from cartrita.clock import new_id
from cartrita.journal import Event, TaskRecord
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskStatus
from cartrita.storage.postgres.journal import PostgresJournal

CALLERS = (1, 50, 500)
POOL = 20
MOST = 40_000
"""Tasks that are made for each second of a round."""

WHO = Principal("0192d1a0-0000-7000-8000-000000000001", "0192d1a0-0000-7000-8000-000000000001")

_TABLE = """
CREATE TABLE single_tasks (
    id uuid PRIMARY KEY, shard text NOT NULL, user_id text NOT NULL, task_type text NOT NULL,
    status text NOT NULL, record bytea NOT NULL, response bytea,
    accepted_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz
) WITH (fillfactor = 75);
CREATE INDEX single_tasks_unfinished ON single_tasks (shard, id) WHERE finished_at IS NULL
"""
_INSERT = """
INSERT INTO single_tasks (id, shard, user_id, task_type, status, record)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_UPDATE = """
UPDATE single_tasks SET status = $2, response = $3, finished_at = now()
WHERE id = $1 AND finished_at IS NULL
"""

Job = tuple[TaskRecord, dict[str, Any]]
"""A task and its response."""

Pair = Callable[[TaskRecord, dict[str, Any]], Awaitable[float]]
"""Accepts a task and finishes it; returns after how many seconds it was accepted."""


def jobs(count: int) -> list[Job]:
    """Return tasks of the usual size as a supervisor gets them: read from bytes."""
    return [_job() for _ in range(count)]


def _job() -> Job:
    now = time.time()
    params = {"payload": {"text": "y" * 200}}
    task = TaskRecord(new_id(), "system.echo", params, WHO, b"d" * 16, now, now + 30)
    metrics = {"processingTimeMs": 1.5, "queueTimeMs": 0.2, "retryCount": 0, "costUsd": 0.0,
               "tokensUsed": 0, "customMetrics": {}}  # fmt: skip
    response = {"taskId": task.task_id, "status": "COMPLETED", "result": params,
                "metrics": metrics, "warnings": [], "traceId": "4bf92f3577b34da6" * 2}  # fmt: skip
    return TaskRecord.unpack(task.pack()), response


@asynccontextmanager
async def grouped(url: str) -> AsyncIterator[Pair]:
    """Give the journal; when it closes, everything is folded into `tasks`."""
    journal = PostgresJournal(url, "system/0")
    await journal.open()

    async def pair(task: TaskRecord, response: dict[str, Any]) -> float:
        began = time.perf_counter()
        verdict = await journal.admit(task)
        took = time.perf_counter() - began
        written = await journal.append(Event.end(task.task_id, TaskStatus.COMPLETED, response))
        assert (verdict.kind, written) == ("accepted", True)
        return took

    yield pair
    await journal.close()


@asynccontextmanager
async def single(url: str) -> AsyncIterator[Pair]:
    """Give one INSERT and one UPDATE, each its own transaction, over a pool."""
    async with asyncpg.create_pool(url, min_size=POOL, max_size=POOL) as pool:

        async def pair(task: TaskRecord, response: dict[str, Any]) -> float:
            began = time.perf_counter()
            who, kind = task.principal.user, task.task_type
            await pool.execute(_INSERT, task.task_id, "system/0", who, kind, "PENDING", task.pack())
            took = time.perf_counter() - began
            done = await pool.execute(_UPDATE, task.task_id, "COMPLETED", pack(response))
            assert done == "UPDATE 1"
            return took

        yield pair


SIDES = {"journal": grouped, "single": single}


@dataclass(frozen=True, slots=True)
class Round:
    """What one round measured: pairs a second, milliseconds of an accept, µs of CPU a pair."""

    rate: float
    accept_p50: float
    accept_p99: float
    server_us: float
    client_us: float


async def measure(side: str, url: str, postmaster: psutil.Process, callers: int, s: float) -> Round:
    """Load one side for so many seconds, until everything is written."""
    accepts: list[float] = []
    async with SIDES[side](url) as pair:
        await asyncio.gather(*(pair(*job) for job in jobs(callers)))  # prepares its statements
        waiting = jobs(int(MOST * s))
        gc.collect()
        gc.freeze()
        servers = [postmaster, *postmaster.children()]
        before, mine = cpu_seconds(servers), time.process_time()
        began = time.perf_counter()

        async def caller() -> None:
            while waiting and time.perf_counter() < began + s:
                accepts.append(await pair(*waiting.pop()))

        await asyncio.gather(*(caller() for _ in range(callers)))
        took, used = time.perf_counter() - began, time.process_time() - mine
        after = cpu_seconds(servers)
        assert waiting, "too few tasks were made"
    gc.unfreeze()
    cuts = quantiles(accepts, n=100)
    served = sum(after[pid] - before[pid] for pid in after if pid in before)
    micro = 1e6 / len(accepts)
    return Round(len(accepts) / took, cuts[49] * 1e3, cuts[98] * 1e3, served * micro, used * micro)


async def compare(seconds: float, rounds: int, numbers: Sequence[int]) -> dict[str, Any]:
    """Measure both sides in turns, and return the medians."""
    found: dict[str, Any] = {}
    async with database() as (url, postmaster):
        setup = await asyncpg.connect(url)
        await setup.execute(_TABLE)
        for callers in numbers:
            told: dict[str, list[Round]] = {side: [] for side in SIDES}
            for _ in range(rounds):
                for side in SIDES:
                    told[side].append(await measure(side, url, postmaster, callers, seconds))
                    await setup.execute("TRUNCATE task_events, tasks, single_tasks")
            found[str(callers)] = _summary(told)
        await setup.close()
    return found


def _summary(told: dict[str, list[Round]]) -> dict[str, Any]:
    sides: dict[str, Any] = {
        side: {
            name: round(median(getattr(one, name) for one in rounds), 2)
            for name in Round.__dataclass_fields__
        }
        for side, rounds in told.items()
    }
    pairs = zip(told["journal"], told["single"], strict=True)
    ratios = [ours.rate / theirs.rate for ours, theirs in pairs]
    return {**sides, "ratio": round(median(ratios), 2), "ratios": [round(r, 2) for r in ratios]}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", type=int, nargs="*", default=CALLERS)
    parser.add_argument("--dry", action="store_true", help="do not save")
    chosen = parser.parse_args()
    found = uvloop.run(compare(chosen.seconds, chosen.rounds, chosen.callers))
    table = Table("callers", "side", "pairs/s", "accept p50, p99 ms", "server + client µs", "ratio")
    for callers, row in found.items():
        for side in SIDES:
            of = row[side]
            table.add_row(
                callers,
                side,
                f"{of['rate']:.0f}",
                f"{of['accept_p50']:.2f}, {of['accept_p99']:.2f}",
                f"{of['server_us']:.0f} + {of['client_us']:.0f}",
                f"{row['ratio']:.1f} {row['ratios']}" if side == "journal" else "",
            )
    Console(width=110).print(table)
    if not chosen.dry:
        save("journal", {"pairs": found})


if __name__ == "__main__":
    main()
