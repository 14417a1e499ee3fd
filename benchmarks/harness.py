"""What the benchmarks share: an instance of their own, CPU by process, results as JSON."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from cartrita.cli.head import free_ports

HERE = Path(__file__).parent
RESULTS = HERE / "results"


@dataclass
class Instance:
    """A running instance on ports of its own."""

    home: Path
    environment: dict[str, str]
    urls: dict[str, str]

    @property
    def owner(self) -> psutil.Process:
        """The process that owns it."""
        return psutil.Process(json.loads((self.home / "instance.json").read_text())["pid"])

    @property
    def ray(self) -> str:
        """The address of its Ray."""
        return json.loads((self.home / "instance.json").read_text())["ray"]

    @property
    def serve(self) -> str:
        """Where its Serve listens, behind the edge."""
        return json.loads((self.home / "instance.json").read_text())["serve"]

    @property
    def token(self) -> str:
        """An access token of the administrator."""
        return json.loads((self.home / "session.json").read_text())["token"]

    def driver_environment(self) -> dict[str, str]:
        """Return what a program needs that joins its Ray."""
        return {
            **self.environment,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.home / "ray-token"),
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def processes(self) -> list[psutil.Process]:
        """Return every process of it."""
        owner = self.owner
        return [owner, *owner.children(recursive=True)]


@contextmanager
def instance(agents: str = "", **settings: str) -> Iterator[Instance]:
    """Run an instance for as long as the context is open.

    Args:
        agents: A module whose agents it has, too.
        settings: Its settings, by their names in the environment.
    """
    home = Path(tempfile.mkdtemp(prefix="cartrita-bench-"))
    names = ("SERVER__PORT", "SERVER__V2_PORT", "SERVER__GRPC_PORT", "RAY__DASHBOARD_PORT",
             "POSTGRES__PORT", "REDIS__PORT")  # fmt: skip
    ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CARTRITA_", "RAY_"))}
    # The limits are at work, and out of reach.
    limits = {"LIMITS__RATE_MAX": "1000000000", "LIMITS__RATE_SHARED_MAX": "1000000000"}
    chosen = {f"CARTRITA_{k}": value for k, value in {**ports, **limits, **settings}.items()}
    environment = {**kept, **chosen, "CARTRITA_HOME": str(home)}
    if agents:
        environment["PYTHONPATH"] = f"{HERE.parent}{os.pathsep}{_package(home / 'site', agents)}"
    cartrita = [sys.executable, "-m", "cartrita"]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it ends with us
    try:
        up = subprocess.run(
            [*cartrita, "up", "--detach", "--json"],
            env=environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if up.returncode:
            raise SystemExit(up.stderr)
        yield Instance(home, environment, json.loads(up.stdout.splitlines()[-1])["urls"])
    finally:
        subprocess.run([*cartrita, "down"], env=environment, check=False, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


def _package(site: Path, module: str) -> Path:
    """Make a package that brings a module's agents, as a third party's would."""
    info = site / "bench-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[cartrita.agents]\nbench = {module}\n")
    return site


def cpu_seconds(processes: list[psutil.Process]) -> dict[int, float]:
    """Return the CPU time each process has used."""
    used = {}
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used[process.pid] = times.user + times.system
    return used


def label(process: psutil.Process) -> str:
    """Return a short name of what a process is."""
    try:
        line = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return "gone"
    known = {
        "ServeReplica:cartrita": "gateway replica", "ServeReplica:bare": "bare replica",
        "SupervisorActor": "supervisors", "HostActor": "workers", "postgres": "postgres",
        "edge.cfg": "edge", "haproxy": "serve haproxy", "OrchestratorActor": "orchestrator",
        "ServeController": "serve control", "ProxyActor": "serve control",
        "HAProxyManager": "serve control", "valkey": "valkey",
    }  # fmt: skip
    return next((name for part, name in known.items() if part in line), "ray and owner")


def save(name: str, result: dict) -> None:
    """Write a result with the machine it was measured on."""
    RESULTS.mkdir(exist_ok=True)
    machine = {
        "when": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }
    (RESULTS / f"{name}.json").write_text(
        json.dumps({"machine": machine, **result}, indent=1) + "\n"
    )
