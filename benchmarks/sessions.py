"""What does an idle WebSocket cost the gateway, and what a conversation that has a history?

    python -m benchmarks.sessions [--sockets 500] [--conversations 200] [--turns 5]

First sockets behind a bare Serve replica, as the baseline, then as many of the gateway's that
signed in and say nothing, then some of those have a conversation of their own (built-in chat, no
model), which stays open. What grows is told by kind of process. `python -m benchmarks.streams`
asks the same of event streams.
"""

import argparse
import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

from rich.console import Console
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.doors import with_bare
from benchmarks.harness import Instance, instance, label, save
from benchmarks.streams import AT_ONCE, KINDS, SETTLE, WARM, memory, show

LIMITS = {
    "LIMITS__SOCKET_CONNECTIONS": "100000",
    "LIMITS__SOCKET_CONNECTIONS_PER_USER": "100000",
    "LIMITS__SOCKET_IDLE_S": "3600",
    "BUDGETS__USER_USD": "1000000",  # one user has all the conversations
    "BUDGETS__USER_TOKENS": str(10**12),
    "LIMITS__CACHE_TIMEOUT_S": "0",  # nothing is answered by what was said before
    "SERVER__MAX_CONNECTIONS": "4096",
    "SERVER__MAX_CONNECTIONS_EACH": "4096",
}
SAID = "What is {}% of 240?"


class Sockets:
    """Open WebSockets."""

    def __init__(self, stack: AsyncExitStack, running: Instance) -> None:
        self._stack, self._running = stack, running
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def open(self, url: str, number: int) -> list[ClientConnection]:
        """Open so many, and have each answered once."""
        headers = {"Authorization": f"Bearer {self._running.token}"}

        async def one() -> ClientConnection:
            async with self._turn:
                address = url.replace("http", "ws", 1)
                opening = connect(address, additional_headers=headers, compression=None)
                opened = await self._stack.enter_async_context(opening)
                await opened.send('{"op": "ping", "id": 1}')
                told = json.loads(await asyncio.wait_for(opened.recv(), 30))
                if not told["ok"]:
                    raise RuntimeError(str(told))
                return opened

        return list(await asyncio.gather(*(one() for _ in range(number))))

    async def talk(self, opened: list[ClientConnection], turns: int, name: str) -> None:
        """Have a conversation on each."""

        async def one(place: int, socket: ClientConnection) -> None:
            for turn in range(turns):
                task = {
                    "taskType": "langchain.chat.execute",
                    "parameters": {"message": SAID.format(turn + 1)},
                    "sessionId": f"{name}-{place}",
                }
                async with self._turn:
                    await socket.send(json.dumps({"op": "submit", "task": task, "wait": True}))
                    told = json.loads(await asyncio.wait_for(socket.recv(), 60))
                if not told["ok"] or told["result"]["status"] != "COMPLETED":
                    raise RuntimeError(str(told)[:1000])

        await asyncio.gather(*(one(*item) for item in enumerate(opened)))


def whole(running: Instance) -> dict[str, float]:
    """Return what memory by kind of process there is, that of the database, too."""
    sizes = memory(running)
    sizes["postgres"] = sum(
        process.memory_full_info().pss / 1e6
        for process in running.processes()
        if label(process) == "postgres"
    )
    return sizes


async def measure(running: Instance, chosen: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Open and talk, and see what grows."""
    found: dict[str, dict[str, float]] = {}
    api, bare = f"{running.urls['api']}/v3/ws", f"{running.serve}/bare/ws"
    async with AsyncExitStack() as stack:
        sockets = Sockets(stack, running)
        await sockets.open(bare, WARM)
        # As many at once as later, so that what each of them needs while it talks is there.
        await sockets.talk(await sockets.open(api, AT_ONCE), chosen.turns, "warm")
        idle: list[ClientConnection] = []
        for name in ("bare", "gateway", "conversation"):
            await asyncio.sleep(SETTLE)
            before = whole(running)
            if name == "bare":
                await sockets.open(bare, chosen.sockets)
            elif name == "gateway":
                idle = await sockets.open(api, chosen.sockets)
            else:
                await sockets.talk(idle[: chosen.conversations], chosen.turns, "talk")
            await asyncio.sleep(SETTLE)
            after = whole(running)
            found[name] = {kind: round(after[kind] - before[kind], 2) for kind in after}
            replica = "bare replica" if name == "bare" else "gateway replica"
            found[name]["replica in all"] = round(after[replica], 1)
    return found


def each(found: dict[str, dict[str, float]], chosen: argparse.Namespace) -> dict[str, Any]:
    """Return what one costs, in KB."""
    sockets, talks = chosen.sockets, min(chosen.conversations, chosen.sockets)
    gateway = found["conversation"]["gateway replica"]
    return {
        "bare": round(found["bare"]["bare replica"] * 1000 / sockets, 1),
        "gateway": round(found["gateway"]["gateway replica"] * 1000 / sockets, 1),
        "conversation_more": round(gateway * 1000 / talks, 1),
        "conversation_more_everywhere": round(
            sum(found["conversation"][kind] for kind in (*KINDS, "postgres")) * 1000 / talks, 1
        ),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--turns", type=int, default=5)
    chosen = parser.parse_args()
    with instance(**LIMITS) as running:
        with_bare(running)
        found = asyncio.run(measure(running, chosen))
    cost = each(found, chosen)
    show(found)
    Console().print(f"{chosen.sockets} sockets, {chosen.conversations} conversations of "
                    f"{chosen.turns} turns; KB each: {json.dumps(cost)}")  # fmt: skip
    ratio = round(cost["gateway"] / cost["bare"], 2) if cost["bare"] else 0.0
    save("sessions", {**vars(chosen), "mb": found, "kb_each": cost, "ratio": ratio})


if __name__ == "__main__":
    main()
