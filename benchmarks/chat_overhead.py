"""What does the whole task path add to a chat completion, and how many tokens stream through it?

    python -m benchmarks.chat_overhead [--seconds 15] [--rate 5] [--part overhead|streams]

One instance talks to a model server that thinks for 40 ms. First as many callers as it takes to
have it fully at work tell its capacity. At half of that rate, calls come at random (Poisson), in
turns as tasks over HTTP and directly with the OpenAI client to the same server: what the first
take longer is what is added. Then streams of a model that says a word every 5 ms are read as
events, and the words that come out are counted.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
from openai import AsyncOpenAI
from rich.console import Console

from benchmarks.harness import RESULTS, Instance, cpu_seconds, instance, label, save

CALLERS, ROUNDS, WARM = 24, 3, 40
CHAT = "langchain.chat.execute"
ASKED = {"message": "Say twenty words.", "system": "You say words."}
STREAMS, STREAMED_WORDS, STREAM_ROUNDS = 40, 1000, 4


@contextmanager
def model_server(**options: float) -> Iterator[str]:
    """Run a model server in a process of its own; gives its address."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.model_server", *flags],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


class Callers:
    """Calls a model as a task, or directly."""

    def __init__(self, running: Instance, model: str) -> None:
        headers = {"Authorization": f"Bearer {running.token}"}
        limits = httpx.Limits(max_connections=512, max_keepalive_connections=512)
        self._tasks = httpx.AsyncClient(
            base_url=running.urls["api"], headers=headers, limits=limits, timeout=60
        )
        self._direct = AsyncOpenAI(api_key="x", base_url=model, max_retries=0, timeout=60)

    async def task(self) -> None:
        """Submit a task and wait for its end."""
        answer = await self._tasks.post(
            "/v3/tasks", json={"taskType": CHAT, "parameters": ASKED, "budget": {"maxUsd": 1}}
        )
        told = answer.json()
        if told.get("status") != "COMPLETED":
            raise SystemExit(f"not completed: {told}")

    async def direct(self) -> None:
        """Call the model as the task does."""
        roles = (("system", "system"), ("user", "message"))
        messages: Any = [{"role": role, "content": ASKED[key]} for role, key in roles]
        await self._direct.chat.completions.create(model="bench", messages=messages)

    async def close(self) -> None:
        """Close the connections."""
        await self._tasks.aclose()
        await self._direct.close()


async def capacity(call: Callable[[], Awaitable[None]], seconds: float) -> float:
    """Return the calls a second that so many callers get answered."""
    done, until = 0, time.monotonic() + seconds

    async def caller() -> None:
        nonlocal done
        while time.monotonic() < until:
            await call()
            done += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return done / seconds


async def at_rate(call: Callable[[], Awaitable[None]], rate: float, seconds: float) -> list[float]:
    """Return what each call took, in milliseconds, when they come at random."""
    chance, took = random.Random(1), []

    async def one() -> None:
        began = time.perf_counter()
        await call()
        took.append((time.perf_counter() - began) * 1000)

    due, end, calls = time.monotonic(), time.monotonic() + seconds, []
    while due < end:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        calls.append(asyncio.create_task(one()))
        due += chance.expovariate(rate)
    await asyncio.gather(*calls)
    return took


def summary(values: list[float]) -> dict[str, float]:
    """Return percentiles."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    told = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}
    return {name: round(value, 2) for name, value in told.items()}


async def overhead(
    running: Instance, model: str, seconds: float, rate: float | None
) -> dict[str, Any]:
    """Measure both ways in turns."""
    callers = Callers(running, model)
    for _ in range(WARM):
        await callers.task()
        await callers.direct()
    found = None
    if rate is None:
        await capacity(callers.task, seconds)  # until as many hosts have started as it takes
        found = await capacity(callers.task, seconds)
        rate = found / 2
    before, began = cpu_seconds(running.processes()), time.monotonic()
    took: dict[str, list[float]] = {"direct": [], "task": []}
    for _ in range(ROUNDS):
        took["direct"] += await at_rate(callers.direct, rate, seconds / ROUNDS)
        took["task"] += await at_rate(callers.task, rate, seconds / ROUNDS)
    parts = by_part(running, before)
    await callers.close()
    told = {name: summary(values) for name, values in took.items()}
    added = {key: round(told["task"][key] - told["direct"][key], 2) for key in told["task"]}
    return {
        "capacity_per_s": found and round(found, 1),
        "rate_per_s": round(rate, 1),
        "calls": {name: len(values) for name, values in took.items()},
        "seconds": round(time.monotonic() - began, 1),
        "ms": {**told, "added": added},
        "cpu_ms_per_task": {k: round(1000 * v / len(took["task"]), 2) for k, v in parts.items()},
    }


def by_part(running: Instance, before: dict[int, float]) -> dict[str, float]:
    """Return the CPU seconds that each part of an instance used since `before`."""
    found: dict[str, float] = {}
    processes = running.processes()
    after = cpu_seconds(processes)
    for process in processes:
        used = after.get(process.pid, 0.0) - before.get(process.pid, 0.0)
        if used > 0.05:
            found[label(process)] = found.get(label(process), 0.0) + used
    return found


async def listen(running: Instance, client: httpx.AsyncClient, heard: dict[str, float]) -> None:
    """Run one streaming task, and count its words as they come."""
    asked = {
        "taskType": CHAT, "parameters": ASKED, "timeout": 120_000,
        "preferences": {"streaming": True}, "budget": {"maxUsd": 0.05},
    }  # fmt: skip
    answer = await client.post("/v3/tasks", json=asked, headers={"Prefer": "respond-async"})
    path = f"/v3/tasks/{answer.json()['taskId']}/events"
    parts = urlsplit(running.urls["api"])
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {running.token}"
    writer.write(f"{head}\r\n\r\n".encode())
    held = b""
    while b"event: completed" not in held and (part := await reader.read(65536)):
        lines = (held + part).split(b"\n")
        held = lines.pop()
        for line in lines:
            if line.startswith(b"data: ") and b'"type":"token"' in line:
                now = time.monotonic()
                heard["first"] = min(heard["first"], now)
                heard["last"] = max(heard["last"], now)
                heard["words"] += line.count(b" word")
            elif line.startswith(b"event: completed"):
                held = line
        if held.startswith(b"event: completed"):
            break
    writer.close()


async def stream(running: Instance, streams: int) -> dict[str, Any]:
    """Read so many streams at once."""
    heard = {"words": 0.0, "first": float("inf"), "last": 0.0}
    headers = {"Authorization": f"Bearer {running.token}"}
    before = cpu_seconds(running.processes())
    async with httpx.AsyncClient(
        base_url=running.urls["api"], headers=headers, timeout=60
    ) as client:
        await asyncio.gather(*(listen(running, client, heard) for _ in range(streams)))
    took = heard["last"] - heard["first"]
    words = heard["words"]
    return {
        "streams": streams,
        "words": int(words),
        "expected": streams * STREAMED_WORDS,
        "seconds": round(took, 2),
        "per_s": round(words / took),
        "cpu_us_per_word": {k: round(1e6 * v / words) for k, v in by_part(running, before).items()},
    }


def measure(part: str, seconds: float, rate: float | None) -> dict[str, Any]:
    """Run one part, or both, each with an instance of its own."""
    found: dict[str, Any] = {}
    if part != "streams":
        with model_server(think_ms=40, words=20) as model, talking_to(model) as running:
            name = "overhead" if rate is None else "overhead_at_a_rate"
            found[name] = asyncio.run(overhead(running, model, seconds, rate))
    if part == "overhead":
        return found
    options = {"think_ms": 40, "pause_ms": 5, "words": STREAMED_WORDS}
    with model_server(**options) as model, talking_to(model) as running:
        for _ in range(STREAM_ROUNDS):  # until as many hosts have started as it takes
            found["streams"] = asyncio.run(stream(running, STREAMS))
    return found


def talking_to(model: str) -> Any:
    """Return an instance whose chat model is at an address.

    Budgets are kept, and out of reach; no answer is given again.
    """
    return instance(
        MODELS__OPENAI_BASE_URL=model,
        MODELS__OPENAI_API_KEY="x",
        MODELS__CHAT_MODEL="bench",
        BUDGETS__USER_USD="1000000",
        BUDGETS__USER_TOKENS=str(10**12),
        LIMITS__CACHE_TIMEOUT_S="0",
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--part", choices=("overhead", "streams", "both"), default="both")
    parser.add_argument("--rate", type=float, help="calls a second, in place of half of capacity")
    chosen = parser.parse_args()
    found = measure(chosen.part, chosen.seconds, chosen.rate)
    Console(width=100).print_json(json.dumps(found))
    last = RESULTS / "chat_overhead.json"
    before = json.loads(last.read_text()) if last.exists() else {}
    kept = {name: before[name] for name in before if name != "machine"}
    save("chat_overhead", {**kept, **found})


if __name__ == "__main__":
    main()
