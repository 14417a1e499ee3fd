"""Measures one door of a running instance: what its callers met, and the CPU behind it."""

import json
import subprocess
import sys
from statistics import median
from typing import Any

import psutil

from benchmarks.harness import Instance, cpu_seconds, label

ECHO = {"taskType": "system.echo", "parameters": {"payload": {"hello": "world"}}}
INSIDE = ("door", "door-batch", "client", "client-batch")
"""Doors in the caller's process: what that uses is the system's, too."""


def measure(  # noqa: PLR0913 - each is a separate choice
    running: Instance,
    door: str,
    address: str,
    callers: int,
    seconds: float,
    *,
    task: dict[str, Any] = ECHO,
    token: str = "",
    rate: float = 0.0,
) -> dict[str, Any]:
    """Have one door called; CPU is in microseconds per task, by process."""
    words = [sys.executable, "-m", "benchmarks.callers", door, address, str(callers), str(seconds),
             "--token", token, "--task", json.dumps(task), "--rate", str(rate),
             "--health", running.urls["api"]]  # fmt: skip
    program = subprocess.Popen(
        words,
        env=running.driver_environment() if door in INSIDE else None,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdin
    assert program.stdout
    try:
        _line(program.stdout, door)
        processes = running.processes()
        before = cpu_seconds(processes)
        program.stdin.write("\n")
        program.stdin.flush()
        found = _line(program.stdout, door)
        used = spent(processes, before)
        program.wait(timeout=60)
    finally:
        program.kill()
    caller = found.pop("caller_s")
    if door in INSIDE:
        used["caller"] = caller
    tasks = max(found.setdefault("tasks", found["requests"]), 1)
    each = {who: round(s / tasks * 1e6, 1) for who, s in sorted(used.items())}
    found["cpu_us"] = {who: us for who, us in each.items() if us >= 1}
    found["cpu_us_total"] = round(sum(used.values()) / tasks * 1e6, 1)
    found["cores"] = round(sum(used.values()) * found["rps"] / tasks, 2)
    if door not in INSIDE:
        found["client_cpu_us"] = round(caller / tasks * 1e6, 1)
    return found


def _line(output: Any, door: str) -> dict[str, Any]:
    text = output.readline()
    if not text:
        raise SystemExit(f"The callers of {door!r} ended early.")
    line: dict[str, Any] = json.loads(text)
    return line


def spent(processes: list[psutil.Process], before: dict[int, float]) -> dict[str, float]:
    """Return the CPU seconds used since, by kind of process."""
    after, found = cpu_seconds(processes), dict[str, float]()
    for process in processes:
        used = after.get(process.pid, 0.0) - before.get(process.pid, 0.0)
        found[label(process)] = found.get(label(process), 0.0) + used
    return found


def middle(rounds: list[dict[str, Any]], key: str) -> float:
    """Return the median of several rounds."""
    return float(median(one[key] for one in rounds))
