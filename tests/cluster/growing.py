"""A scenario: hosts that find no room make Ray add nodes, which go when they are idle.

Run as a program, on a Ray that scales itself.
"""

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from actors import spawn
from tests.support.cluster import INSTANCE, Stage, alive, stage, tell

BURST, LONG = 40, 2


async def grow_and_shrink(tree: Stage) -> dict[str, Any]:
    """Load the tree until it has two hosts, then let it have less and less to do."""
    at_rest = await settled(1)
    burst = await tree.submit(BURST, 0.5)
    grown = await tree.until(lambda mills: len(mills) == 2)
    nodes = alive()
    ends = await tree.ends(burst)
    long = await tree.submit(LONG, 10.0)  # one on each: the pool shrinks with work on both
    leaving = await tree.until(at_work_and_leaving)
    ends += await tree.ends(long)
    await tree.until(lambda mills: not mills)
    return {
        "atRest": at_rest,
        "grown": nodes,
        "mills": [row["node"] for row in grown],
        "leaving": [row["node"] for row in leaving if row["state"] == "draining"],
        "ends": dict(Counter(end["status"] for end in ends)),
        "begun": tree.begun([*burst, *long]),
        "inTheEnd": await settled(len(at_rest)),
        "supervisors": [
            row["node"] for row in (await tree.directory.snapshot())["supervisors"].values()
        ],
    }


def at_work_and_leaving(mills: list[dict[str, Any]]) -> bool:
    """Tell whether a host that is to be ended has a task at work, and so has the other."""
    states = {row["state"] for row in mills if row["inFlight"]}
    return states == {"draining", "up"}


async def settled(nodes: int) -> list[str]:
    """Wait until there are so many nodes, and return them."""
    async with asyncio.timeout(60):
        while len(found := alive()) != nodes:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.2)
    return found


async def run(folder: Path) -> dict[str, Any]:
    """Start the tree, and watch it grow and shrink."""
    async with stage(folder) as tree:
        return await grow_and_shrink(tree)


def main(folder: Path) -> None:
    """Join the cluster and run."""
    spawn.connect(os.environ["RAY_ADDRESS"], INSTANCE)
    try:
        seen = asyncio.run(run(folder))
    finally:
        spawn.disconnect()
    tell(seen)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
