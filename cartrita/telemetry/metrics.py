"""Every metric there is, by its public name.

Processes of one node share a folder (`PROMETHEUS_MULTIPROC_DIR`, set by whoever starts them),
so that one endpoint is right over all of them, restarted ones included.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

PREFIX = "cartrita_mcp"
CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"

# A registry of our own: in one process (tests, tools) nothing else may mix in.
REGISTRY = CollectorRegistry()


def _counter(name: str, text: str, labels: Iterable[str]) -> Counter:
    return Counter(f"{PREFIX}_{name}", text, list(labels), registry=REGISTRY)


def _gauge(name: str, text: str, labels: Iterable[str]) -> Gauge:
    return Gauge(
        f"{PREFIX}_{name}", text, list(labels), registry=REGISTRY, multiprocess_mode="livemax"
    )


TASKS_STARTED = _counter("tasks_started", "Tasks a supervisor accepted.", ["task_type", "agent_id"])
TASKS_COMPLETED = _counter("tasks_completed", "Tasks that completed.", ["task_type", "agent_id"])
TASKS_FAILED = _counter(
    "tasks_failed", "Tasks that ended otherwise.", ["task_type", "agent_id", "error_code"]
)
TASK_DURATION = Histogram(
    f"{PREFIX}_task_duration_seconds",
    "From acceptance to the end.",
    ["task_type", "agent_id", "status"],
    buckets=(0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600),
    registry=REGISTRY,
)
MESSAGES_SENT = _counter(
    "messages_sent", "Messages between tiers.", ["message_type", "sender", "recipient"]
)
MESSAGES_RECEIVED = _counter(
    "messages_received", "Messages between tiers.", ["message_type", "sender", "recipient"]
)
MESSAGE_LATENCY = Histogram(
    f"{PREFIX}_message_latency_seconds",
    "From the message to its answer.",
    ["message_type"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10),
    registry=REGISTRY,
)
TOKENS_USED = _counter("tokens_used", "Tokens charged.", ["model", "task_type"])
COST_INCURRED = _counter("cost_incurred_usd", "USD charged.", ["model", "task_type"])
MODEL_USAGE = _counter("model_usage", "Tasks a model worked on.", ["model", "task_type"])
CACHE_LOOKUPS = _counter(
    "cache_lookups",
    "Tasks whose answer may be kept, by where it was found: memory, valkey, meaning, running, "
    "elsewhere, or missed, refreshed, passed_by.",
    ["task_type", "outcome"],
)
QUALITY_VERDICTS = _counter(
    "quality_verdicts", "Answers that were looked at.", ["task_type", "verdict"]
)
BRIDGE_SERVED = _counter("bridge_served", "Calls of v2's routes, by who answered.", ["side"])
BRIDGE_COMPARED = _counter(
    "bridge_compared", "Calls of v2's routes that both sides were asked.", ["outcome"]
)
PROVIDER_CALLS = _counter(
    "provider_calls",
    "Calls to providers: answered, refused, failed, busy, or not_made: its circuit is open, or "
    "there was no room.",
    ["provider", "outcome"],
)
PROVIDER_LIMIT = _gauge(
    "provider_limit", "Calls that a provider is sent at once at most, for now.", ["provider"]
)
PROVIDER_UNDER_WAY = _gauge("provider_under_way", "Calls that wait for a provider.", ["provider"])
CIRCUITS_OPEN = _gauge(
    "provider_circuits_open", "Models or services of a provider that are left alone.", ["provider"]
)
TRACES_TOLD = _counter("trace_spans", "Spans that a collector took.", [])
TRACES_DROPPED = _counter(
    "traces_dropped",
    "Tasks and requests whose spans no collector took: no room, or it is away.",
    [],
)
AGENT_HEALTH = _gauge("agent_health", "1 when its workers run, else 0.", ["agent_id"])
AGENT_CPU = _gauge("agent_cpu_usage_percent", "CPU of its process.", ["agent_id"])
AGENT_MEMORY = _gauge("agent_memory_usage_bytes", "Memory of its process.", ["agent_id"])


Metric = TypeVar("Metric", Counter, Gauge, Histogram)


@lru_cache(maxsize=4096)
def labelled(metric: Metric, *labels: str) -> Metric:
    """Return a metric's child for label values; looking it up anew costs more than counting."""
    return metric.labels(*labels)


class ProcessUsage:
    """Reports this process's CPU and memory under an agent's id."""

    def __init__(self, agent_id: str) -> None:
        self._process = psutil.Process()
        self._cpu = AGENT_CPU.labels(agent_id)
        self._memory = AGENT_MEMORY.labels(agent_id)
        self._process.cpu_percent()  # the first reading has nothing to compare with

    def report(self) -> None:
        """Take one reading."""
        self._cpu.set(self._process.cpu_percent())
        self._memory.set(self._process.memory_info().rss)


def exposition(folder: Path | None) -> bytes:
    """Return all metrics of this node in Prometheus's text format.

    Args:
        folder: What the node's processes share; None reads this process alone.
    """
    if folder is None:
        return generate_latest(REGISTRY)
    _forget_dead(folder)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _forget_dead(folder: Path) -> None:
    """Drop the gauges of processes that were killed and could not do it themselves."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if pid != os.getpid() and not psutil.pid_exists(pid):
            with suppress(FileNotFoundError):  # another scrape was quicker
                mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
