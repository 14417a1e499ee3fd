"""What does a call of v2's cost, over the same task on v3?

    python -m benchmarks.bridge_path [--seconds 6] [--rounds 5] [--clients 16]

In turns on one instance: a route of v2's that the bridge answers by a task, and that task by
`POST /v3/tasks`, with the same token and the same parameters. What is compared is the CPU of all
processes for one request; of several rounds the median counts. The aim is 10 % more at most.
"""

import argparse
import json
import statistics
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Instance, instance, save
from benchmarks.http_path import measure

AIM = 1.10
SAID = "What is 15% of 240?"
ECHO = {"taskType": "system.echo", "parameters": {"payload": {"hello": "world"}}}


@dataclass(frozen=True)
class Pair:
    """The same task both ways; each chat is a conversation of its own."""

    route: str
    old: dict[str, Any]
    new: dict[str, Any]


PAIRS = {
    "chat": Pair(
        "/api/chat",
        {"message": SAID, "conversationId": "bench-@@@@@@@@"},
        {
            "taskType": "langchain.chat.execute",
            "parameters": {"message": SAID},
            "sessionId": "bench-@@@@@@@@",
        },
    ),
    "echo": Pair("/api/mcp/task", ECHO, ECHO),
}


def offered(running: Instance, pair: Pair) -> bool:
    """Tell whether the bridge has a pair's route."""
    request = urllib.request.Request(
        f"{running.urls['v2']}{pair.route}",
        json.dumps(pair.old).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {running.token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        if error.code in (404, 501):
            return False
        raise


def compare(running: Instance, pair: Pair, clients: int, seconds: float, rounds: int) -> dict:
    """Measure both ways in turns."""
    ways = {
        "v3": (f"{running.urls['api']}/v3/tasks", pair.new),
        "v2 on the v2 port": (f"{running.urls['v2']}{pair.route}", pair.old),
        "v2 on the v3 port": (f"{running.urls['api']}{pair.route}", pair.old),
    }
    found: dict[str, list[dict]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, (url, body) in ways.items():
            told = measure_one(running, url, body, clients, seconds)
            if number:  # the first round warms up
                found[name].append(told)
    base = middle(found["v3"])
    ratios = {name: round(middle(took) / base, 3) for name, took in found.items()}
    return {"cpu_of_v3": ratios, "rounds": found}


def measure_one(
    running: Instance, url: str, body: dict[str, Any], clients: int, seconds: float
) -> dict:
    """Load one way, with a body of its own."""
    return measure(url, clients, seconds, running.token, running, json.dumps(body))


def middle(rounds: list[dict]) -> float:
    """Return the median CPU of a request."""
    return statistics.median(one["cpu_us_total"] for one in rounds)


def show(results: dict[str, dict]) -> None:
    """Print the table."""
    table = Table("task", "way", "CPU µs/request", "of v3", "requests/s", "p50 ms", "errors")
    for name, result in results.items():
        for way, rounds in result["rounds"].items():
            rate = statistics.median(one["rps"] for one in rounds)
            p50 = statistics.median(one["p50_ms"] for one in rounds)
            table.add_row(
                name, way, f"{middle(rounds):.0f}", f"{result['cpu_of_v3'][way]:.1%}",
                f"{rate:.0f}", f"{p50:.1f}", str(sum(one["errors"] for one in rounds)),
            )  # fmt: skip
    Console(width=110).print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=16)
    chosen = parser.parse_args()
    limits = {
        "BUDGETS__USER_USD": "1000000",
        "BUDGETS__USER_TOKENS": str(10**12),
        "LIMITS__CACHE_TIMEOUT_S": "0",  # no answer is given again
    }
    with instance(**limits) as running:
        results = {
            name: compare(running, pair, chosen.clients, chosen.seconds, chosen.rounds)
            for name, pair in PAIRS.items()
            if offered(running, pair)
        }
    show(results)
    save("bridge_path", {"aim": AIM, "clients": chosen.clients, "results": results})


if __name__ == "__main__":
    main()
