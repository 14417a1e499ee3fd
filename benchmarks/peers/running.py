"""The processes of one peer, their CPU time, and one measurement of it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from benchmarks.harness import HERE, cpu_seconds

OPENS_WITHIN = 60.0
SPARE = 60.0
"""Seconds a load generator may take beside its load: its own start, and late answers."""

ROOT = HERE.parent
Named = list[tuple[str, psutil.Process]]


class PeerFailed(Exception):
    """A peer did not start, or could not be measured; the others go on."""


class Processes:
    """What one peer consists of; ends all of it at the end of the context."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Self:
        return self

    def start(self, name: str, words: list[str | Path], **environment: str) -> None:
        """Start a process, with its output in a file of its name."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CARTRITA_", "RAY_"))}
        with (self.home / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                words,
                env={**kept, "PYTHONPATH": str(ROOT), **environment},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._started.append((name, process))

    def answers(self, url: str) -> None:
        """Wait until somebody answers there.

        Raises:
            PeerFailed: Nobody does, or a process has ended; the end of its log is in the text.
        """
        until = time.monotonic() + OPENS_WITHIN
        while time.monotonic() < until:
            for name, process in self._started:
                if process.poll() is not None:
                    raise PeerFailed(f"{name} ended: {self._log(name)}")
            with suppress(URLError, OSError):
                urlopen(url, timeout=2).read()
                return
            time.sleep(0.1)
        told = "; ".join(f"{name}: {self._log(name)}" for name, _ in self._started)
        raise PeerFailed(f"{url} does not answer. {told}")

    def _log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")[-600:]

    def all(self) -> Named:
        """Return every process, also those that they started."""
        found: Named = []
        for name, started in self._started:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(started.pid)
                found += [(name, p) for p in (process, *process.children(recursive=True))]
        return found

    def __exit__(self, *_: object) -> None:
        everything = [process for _, process in self.all()]
        for _, started in reversed(self._started):
            started.terminate()
        for _, started in self._started:
            with suppress(subprocess.TimeoutExpired):
                started.wait(5)
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for _, started in self._started:
            started.wait(10)


@dataclass(frozen=True)
class Subject:
    """One way to have tasks done, as the load sees it.

    Attributes:
        name: In the results.
        command: The words that measure it, of kind of task, clients and seconds; they print JSON.
        processes: What its CPU time is taken of, beside what the command tells of itself.
    """

    name: str
    command: Callable[[str, int, float], list[str]]
    processes: Callable[[], Named]

    def measure(self, kind: str, clients: int, seconds: float) -> dict[str, Any]:
        """Load it once; CPU is in microseconds per task, by process.

        Raises:
            PeerFailed: The load generator failed, or had no end.
        """
        named = self.processes()
        before = cpu_seconds([process for _, process in named])
        result = self._loaded(self.command(kind, clients, seconds), seconds)
        after = cpu_seconds([process for _, process in named])
        cpu: dict[str, float] = {}
        for name, process in named:
            used = after.get(process.pid, 0.0) - before.get(process.pid, 0.0)
            cpu[name] = cpu.get(name, 0.0) + max(used, 0.0)
        if "own_cpu_s" in result:
            cpu["caller"] = result.pop("own_cpu_s")
        each = {name: 1e6 * used / max(result["requests"], 1) for name, used in cpu.items()}
        result["cpu_us"] = {name: round(us) for name, us in sorted(each.items()) if us >= 1}
        result["cpu_us_total"] = round(sum(each.values()))
        return result

    def _loaded(self, words: list[str], seconds: float) -> dict[str, Any]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        try:
            done = subprocess.run(
                words, env=environment, cwd=ROOT, check=True, capture_output=True, text=True,
                timeout=seconds + SPARE,
            )  # fmt: skip
            told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        except subprocess.CalledProcessError as error:
            raise PeerFailed(f"{self.name}: {error.stderr[-600:]}") from error
        except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
            raise PeerFailed(f"{self.name}: {error}") from error
        return told


def over_http(
    urls: dict[str, str], bodies: dict[str, str], token: str = "", batch: int = 0
) -> Callable[[str, int, float], list[str]]:
    """Return what loads an HTTP server; URLs and bodies by kind of task."""

    def command(kind: str, clients: int, seconds: float) -> list[str]:
        words = [sys.executable, "-m", "benchmarks.peers.load", urls[kind], str(clients)]
        return [*words, str(seconds), token, bodies[kind], *([str(batch)] if batch else [])]

    return command
