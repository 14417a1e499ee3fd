"""What still runs a second after it was cancelled as it started?

python -m benchmarks.cancels [--tasks 1000]
"""

import argparse
import asyncio
import random
from typing import Any

from benchmarks.harness import instance, save
from cartrita.client import AsyncClient

MOST_WAIT = 60.0


async def cancel_races(url: str, token: str, *, tasks: int, seed: int = 1) -> dict[str, Any]:
    """Start tasks of ten seconds and cancel each at once; count what runs a second later."""
    chance, cancelled = random.Random(seed), 0
    async with AsyncClient(url, token=token, timeout=MOST_WAIT) as client:

        async def race() -> bool:
            job = await client.submit(
                "system.echo", {"payload": 0, "delayMs": 10_000}, timeout=60.0
            )
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.01, 0.05)))
            return await job.cancel()

        for _ in range(tasks // 20):
            cancelled += sum(await asyncio.gather(*(race() for _ in range(20))))
        await asyncio.sleep(1.0)
        tree = await client.tree()
    running = sum(shard["inFlight"] + shard["queueDepth"] for shard in tree["supervisors"])
    hosts = [host for shard in tree["supervisors"] for host in shard["hosts"]]
    return {
        "tasks": tasks,
        "cancelled": cancelled,
        "still_running": running + sum(host["inFlight"] for host in hosts),
    }


def main() -> None:
    """Run the races on an instance of their own and save what they found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    chosen = parser.parse_args()
    with instance() as running:
        found = asyncio.run(cancel_races(running.urls["api"], running.token, tasks=chosen.tasks))
    print(found)
    save("cancels", found)


if __name__ == "__main__":
    main()
