"""What the bridge adds to a request: CPU of the same task by v2's route and by v3's.

`python -m benchmarks.bridge [requests]` runs the gateway and a tree in this process, without
sockets, and asks in turn by both; the least of several rounds counts. On Ray a request costs
more on both sides, so the share is smaller there.
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from serve_apps.bridge.loop import Bridge
from serve_apps.bridge.table import Row, Table
from tests.support.bridged import bridged

ROUNDS = 7
ECHO = Row(
    route="POST /api/echo",
    auth="user",
    task="system.echo",
    refuse=({"unless": "text(body.message)", "error": "Message is required"},),
    takes="{payload: body.message, delayMs: body.delay}",
    gives="""{
      success: `true`, response: result.payload, conversationId: session,
      metadata: {speaker: 'cartrita', model: task.model, response_time_ms: task.milliseconds},
      timestamp: now
    }""",
    session="body.conversationId || 'v2'",
)
"""A row such as that of the chat, of a task that costs nothing itself."""


async def main(requests: int) -> None:
    """Print the CPU of a request by both routes, in microseconds."""
    async with bridged(Bridge(table=Table([ECHO]))) as api:
        who = await api.user("bench@example.org")
        v3 = {"taskType": "system.echo", "parameters": {"payload": "hello"}, "sessionId": "v2"}
        v2 = {"message": "hello"}

        async def spent(path, body):
            begun = time.process_time()
            for _ in range(requests):
                answer = await api.http.post(path, json=body, headers=who)
                assert answer.status_code == 200, answer.text
            return (time.process_time() - begun) / requests * 1e6

        pairs = [(await spent("/v3/tasks", v3), await spent("/api/echo", v2)) for _ in range(ROUNDS)]
    least = [min(column) for column in zip(*pairs, strict=True)]
    middle = [statistics.median(column) for column in zip(*pairs, strict=True)]
    for name, (plain, bridge) in {"least": least, "median": middle}.items():
        print(f"{name}: v3 {plain:.0f} us, v2 {bridge:.0f} us, {100 * (bridge / plain - 1):+.1f} %")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 300))
