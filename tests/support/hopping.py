"""A reader of one task's log that drops at random and goes on elsewhere: `python -m` it."""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import httpx

from actors.door import Door
from cartrita.clock import SystemClock, new_random
from serve_apps.gateway.app import gateway
from serve_apps.gateway.gate import Gate
from tests.support.api_server import lifespan_of
from tests.support.gateway import MAX_BODY
from tests.support.sockets import calling, listening, socket_gateway, talking
from tests.support.troupe import Speaker

EVENTS = 5000
SPREAD = 400
"""Most events that are read before a drop."""


@asynccontextmanager
async def two_gateways() -> AsyncIterator[tuple]:
    """Run two gateways over one tree, each with a door and a port of its own."""
    async with socket_gateway(agents=(Speaker,)) as (api, first):
        stand, gate = api.stand, api.app._app._app.gate
        door = Door(stand.tree.catalog, stand.tree, stand.tables, SystemClock(), "second")

        @asynccontextmanager
        async def opened() -> AsyncIterator[Gate]:
            yield replace(gate, tasks=door)

        other = gateway(opened, max_body=MAX_BODY)
        async with lifespan_of(other), listening(other) as second:
            try:
                yield api, (first, second)
            finally:
                door.close()


async def by_sse(port, who, task_id, after):
    headers = {**who, **({"Last-Event-ID": after} if after else {})}
    url = f"http://127.0.0.1:{port}/v3/tasks/{task_id}/events"
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", url, headers=headers) as answer,
        aclosing(answer.aiter_lines()) as lines,
    ):
        async for line in lines:
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


async def by_websocket(port, who, task_id, after):
    packed = len(task_id + str(after)) % 2 == 0
    # A reader that drops does not wait for the rest.
    async with calling(port, who, packed=packed, close_timeout=0.05) as caller:
        await caller.say("subscribe", taskId=task_id, after=after)
        while True:
            yield (await caller.envelope())["payload"]


async def by_socket_io(port, who, task_id, after):
    async with talking(port, who) as talker:
        asked = {"taskId": task_id, **({"after": after} if after else {})}
        await talker.client.emit("mcp:subscribe", asked)
        while True:
            yield (await talker.next("mcp:event"))["payload"]


WAYS = (by_sse, by_websocket, by_socket_io)


async def hop(ports, who, task_id, randomness) -> tuple[list, int]:
    """Read a log to its end, a random way for a random while each; return it and the hops."""
    read, hops = [], 0
    while not read or read[-1]["type"] != "completed":
        way, port = randomness.choice(WAYS), randomness.choice(ports)
        most, hops = randomness.randint(1, SPREAD), hops + 1
        after = read[-1]["cursor"] if read else None
        async with aclosing(way(port, who, task_id, after)) as events:
            async for event in events:
                read.append(event)
                most -= 1
                if not most or event["type"] == "completed":
                    break
    return read, hops


async def run(seed: int, events: int = EVENTS) -> int:
    """Let one reader hop while the task speaks; return how often it did.

    Raises:
        AssertionError: It saw anything but the log.
    """
    randomness = new_random(seed)
    async with two_gateways() as (api, ports):
        who = await api.user("alice@example.org")
        early = randomness.randint(0, events)
        parameters = {"before": early, "after": events - early}
        task = {"taskType": "speak.steps", "parameters": parameters}
        answer = await api.http.post(
            "/v3/tasks", json=task, headers={**who, "Prefer": "respond-async"}
        )
        task_id = answer.json()["taskId"]
        reading = asyncio.create_task(hop(ports, who, task_id, randomness))
        await asyncio.wait_for(api.stand.stage.entered.get(), 60)
        api.stand.stage.release.set()
        read, hops = await asyncio.wait_for(reading, 100)
        truth = [event async for event in by_sse(ports[0], who, task_id, None)]
    said = [event["data"]["text"] for event in read if event["type"] == "progress"]
    assert said == [str(number) for number in range(events)], "a gap, or a repeat"
    differing = [pair for pair in zip(read, truth, strict=True) if pair[0] != pair[1]]
    assert not differing, f"{len(differing)} events differ: {differing[:3]}"
    return hops


def main(argv: list[str]) -> None:
    """Run some seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=1)
    asked = parser.parse_args(argv)
    for seed in range(asked.first, asked.first + asked.seeds):
        hops = asyncio.run(run(seed))
        sys.stdout.write(f"seed {seed}: {EVENTS} events, {hops} hops\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
