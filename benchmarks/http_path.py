"""How much of a bare server's rate is left once a task is authenticated, durable and supervised?

Side by side, in turns: a no-op behind bare uvicorn, the same behind bare Serve with HAProxy, and
`POST /v3/tasks` with `system.echo` (token, admission, two journal commits, three tiers) on the
same Serve. Absolute rates say little on a shared machine; compare within the run.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from urllib.error import URLError
from urllib.request import urlopen

from rich.console import Console
from rich.table import Table

from benchmarks.harness import HERE, Instance, cpu_seconds, instance, label, save
from cartrita.cli.head import free_ports

BODY = json.dumps({"taskType": "system.echo", "parameters": {"payload": {"hello": "world"}}})


def measure(
    url: str, clients: int, seconds: float, token: str, where: Instance, body: str = BODY
) -> dict:
    """Load one subject; CPU is in microseconds per request, by process."""
    processes = where.processes()
    before = cpu_seconds(processes)
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py"), url, str(clients), str(seconds), token, body],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    result = json.loads(done.stdout)
    after = cpu_seconds(processes)
    cpu: dict[str, float] = {}
    for process in processes:
        used = after.get(process.pid, 0) - before.get(process.pid, 0)
        name = label(process)
        cpu[name] = cpu.get(name, 0) + used / max(result["requests"], 1) * 1e6
    result["cpu_us"] = {name: round(us) for name, us in sorted(cpu.items()) if us >= 1}
    result["cpu_us_total"] = round(sum(cpu.values()))
    return result


def wait_for(url: str) -> None:
    """Wait until somebody answers."""
    for _ in range(300):
        with suppress(URLError, OSError):
            urlopen(url, timeout=2).read()
            return
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def median(rounds: list[dict], key: str) -> float:
    """Return the median over rounds."""
    return statistics.median(item[key] for item in rounds)


def show(results: dict[int, dict[str, list[dict]]]) -> None:
    """Print the table."""
    table = Table("clients", "subject", "requests/s", "share of bare Serve", "p50 ms", "p99 ms",
                  "CPU µs/request, all processes")  # fmt: skip
    for clients, subjects in results.items():
        base = median(subjects["bare serve + haproxy"], "rps")
        for name, rounds in subjects.items():
            rate = median(rounds, "rps")
            table.add_row(
                str(clients), name, f"{rate:.0f}", f"{rate / base:.0%}",
                f"{median(rounds, 'p50_ms'):.2f}", f"{median(rounds, 'p99_ms'):.1f}",
                f"{median(rounds, 'cpu_us_total'):.0f}" if "uvicorn" not in name else "",
            )  # fmt: skip
    console = Console(width=110)
    console.print(table)
    last = results[max(results)]["cartrita task"][-1]["cpu_us"]
    console.print("CPU µs per task by process:", ", ".join(f"{k} {v}" for k, v in last.items()))


def main() -> None:
    """Run the benchmark."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=4)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--clients", type=int, nargs="*", default=[1, 32, 128])
    chosen = arguments.parse_args()
    (port,) = free_ports(1)
    with instance() as running:
        subprocess.run(
            [sys.executable, str(HERE / "bare.py"), "serve", running.ray, "cartrita"],
            env=running.driver_environment(),
            check=True,
        )
        bare = subprocess.Popen([sys.executable, str(HERE / "bare.py"), "uvicorn", str(port)])
        subjects = {
            "bare uvicorn": (f"http://127.0.0.1:{port}/", ""),
            "bare serve + haproxy": (f"{running.serve}/bare/", ""),
            "cartrita task": (f"{running.urls['api']}/v3/tasks", running.token),
        }
        try:
            for url, _ in subjects.values():
                wait_for(url.replace("/v3/tasks", "/livez"))
            results: dict[int, dict[str, list[dict]]] = {}
            for clients in chosen.clients:
                found = results.setdefault(clients, {name: [] for name in subjects})
                for _ in range(chosen.rounds):
                    for name, (url, token) in subjects.items():
                        found[name].append(measure(url, clients, chosen.seconds, token, running))
        finally:
            bare.terminate()
            bare.wait(10)
    show(results)
    save("http_path", {"results": {str(k): v for k, v in results.items()}})


if __name__ == "__main__":
    main()
