"""Every metric there is, by its public name.

Processes of one node share a folder (`PROMETHEUS_MULTIPROC_DIR`, set by whoever starts them),
so that one endpoint is right over all of them, restarted ones included. They count in memory, and
write to those files four times a second.
"""

import atexit
import os
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from cartrita.telemetry.steps import Steps, in_steps

PREFIX = "cartrita_mcp"
GENAI = "gen_ai"
CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"

Over = Literal["livemax", "livesum", "livemostrecent"]
"""What a reading is that several processes give: the most of them, their sum, the latest."""

# A registry of our own: in one process (tests, tools) nothing else may mix in.
REGISTRY = CollectorRegistry()

_STEPS = Steps()
if values.ValueClass._multiprocess:  # noqa: SLF001 - its own way to tell; alone, nothing is written
    values.ValueClass = in_steps(values.ValueClass, _STEPS)
    atexit.register(_STEPS.write)


def _counter(name: str, text: str, labels: Iterable[str]) -> Counter:
    return Counter(f"{PREFIX}_{name}", text, list(labels), registry=REGISTRY)


def _gauge(name: str, text: str, labels: Iterable[str], over: Over = "livemax") -> Gauge:
    return Gauge(f"{PREFIX}_{name}", text, list(labels), registry=REGISTRY, multiprocess_mode=over)


def _histogram(
    name: str, text: str, labels: Iterable[str], buckets: Iterable[float], prefix: str = PREFIX
) -> Histogram:
    return Histogram(
        f"{prefix}_{name}", text, list(labels), buckets=tuple(buckets), registry=REGISTRY
    )


TASKS_STARTED = _counter("tasks_started", "Tasks a supervisor accepted.", ["task_type", "agent_id"])
TASKS_COMPLETED = _counter("tasks_completed", "Tasks that completed.", ["task_type", "agent_id"])
TASKS_FAILED = _counter(
    "tasks_failed", "Tasks that ended otherwise.", ["task_type", "agent_id", "error_code"]
)
TASK_DURATION = _histogram(
    "task_duration_seconds",
    "From acceptance to the end.",
    ["task_type", "agent_id", "status"],
    (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600),
)
TASK_QUEUE_TIME = _histogram(
    "task_queue_time_seconds",
    "From acceptance to the last start.",
    ["task_type"],
    (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30),
)
TASK_RETRIES = _counter(
    "task_retries", "Attempts after the first, of tasks that ended.", ["task_type", "agent_id"]
)
TASKS_QUARANTINED = _counter(
    "tasks_quarantined", "Tasks given up for killing whatever runs them.", ["agent_id"]
)
MESSAGES_SENT = _counter(
    "messages_sent", "Messages between tiers.", ["message_type", "sender", "recipient"]
)
MESSAGES_RECEIVED = _counter(
    "messages_received", "Messages between tiers.", ["message_type", "sender", "recipient"]
)
MESSAGE_LATENCY = _histogram(
    "message_latency_seconds",
    "From the message to its answer.",
    ["message_type"],
    (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10),
)
MESSAGES_DROPPED = _counter(
    "messages_dropped",
    "Requests that no task was made of: duplicate, queue_full, no_handler.",
    ["reason"],
)
MESSAGE_ERRORS = _counter(
    "message_errors", "Messages answered with an error.", ["message_type", "error_type"]
)
QUEUE_DEPTH = _gauge("message_queue_depth", "Tasks that wait in a mailbox.", ["shard"])
QUEUE_BOUND = _gauge("message_queue_bound", "Tasks that may wait in a mailbox.", ["shard"])
SHARD_RUNNING = _gauge("supervisor_running_tasks", "Attempts under way.", ["shard"])
SHARD_CAPACITY = _gauge("supervisor_capacity", "Attempts that may be under way.", ["shard"])
SUPERVISOR_MISSING = _gauge(
    "supervisor_missing", "1 while a shard that should have a supervisor has none.", ["shard"]
)
SUPERVISOR_DEATHS = _counter("supervisor_deaths", "Supervisors that died.", ["shard"])
HOSTS = _gauge("hosts", "Hosts that run.", ["shard", "group"])
HOSTS_WANTED = _gauge("hosts_wanted", "Hosts that there should be.", ["shard", "group"])
HOST_DEATHS = _counter("host_deaths", "Hosts that died and nobody meant to.", ["shard", "group"])
GROUP_DOWN = _gauge("group_down", "1 when a group of agents was given up.", ["shard", "group"])
GROUP_QUARANTINED = _gauge(
    "group_quarantined", "1 while a group runs one task at a time.", ["shard", "group"]
)
JOURNAL_SECONDS = _histogram(
    "journal_write_seconds",
    "One batch on its way to the disk.",
    ["shard"],
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30),
)
JOURNAL_ENTRIES = _counter("journal_entries", "Entries that were written.", ["shard"])
JOURNAL_WAITING = _gauge("journal_waiting", "Entries behind the batch that is written.", ["shard"])
JOURNAL_UP = _gauge("journal_up", "0 while the database cannot be written to.", ["shard"])
JOURNAL_ERRORS = _counter("journal_errors", "Tries to write that failed.", ["shard", "error_type"])
BUDGET_REFUSALS = _counter(
    "budget_refusals", "Tasks for which a budget had no room, by its kind.", ["kind"]
)
BUDGET_TIGHT = _counter(
    "budget_tight",
    "Tasks accepted when a budget above them was over 70 % (warning) or 90 % (critical) full.",
    ["level"],
)
HTTP_SECONDS = _histogram(
    "http_request_duration_seconds",
    "From the head of a request to the end of its answer.",
    ["route", "method", "status"],
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
TRANSPORT_CONNECTIONS = _gauge(
    "transport_connections",
    "Sockets that are open; of http, requests under way.",
    ["transport_type"],
    "livesum",
)
TRANSPORT_ERRORS = _counter(
    "transport_errors", "Requests refused and sockets closed.", ["transport_type", "error_type"]
)
TRANSPORT_BYTES = _counter(
    "transport_bytes_transferred",
    "Bytes of bodies, in and out, before they are compressed.",
    ["transport_type", "direction"],
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
TRACES_TOLD = _counter("trace_spans", "Spans that a collector took.", ["collector"])
TRACES_DROPPED = _counter(
    "traces_dropped",
    "Tasks and requests whose spans no collector took: `no_room` to wait, or `not_taken`.",
    ["reason"],
)
AGENT_HEALTH = _gauge("agent_health", "1 when its workers run, else 0.", ["agent_id"])
AGENT_CPU = _gauge("agent_cpu_usage_percent", "CPU of its process.", ["agent_id"])
AGENT_ACTIVE = _gauge("agent_active_tasks", "Tasks at work.", ["agent_id"], "livesum")
AGENT_MEMORY = _gauge("agent_memory_usage_bytes", "Memory of its process.", ["agent_id"])
RESOURCES = _gauge(
    "resource_utilization",
    "Of the node's cpu, memory and disk, 0 to 1.",
    ["resource"],
    "livemostrecent",
)

# OpenTelemetry's own names and bounds (semantic-conventions-genai), as Prometheus spells them.
GENAI_SECONDS = _histogram(
    "client_operation_duration_seconds",
    "One call of a model.",
    ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"],
    [0.01 * 2**n for n in range(14)],
    GENAI,
)
GENAI_TOKENS = _histogram(
    "client_token_usage",
    "Tokens of one call, input or output.",
    ["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"],
    [4**n for n in range(14)],
    GENAI,
)
GENAI_AGENT_SECONDS = _histogram(
    "invoke_agent_duration_seconds",
    "One attempt of a task by its agent.",
    ["gen_ai_agent_name", "error_type"],
    [0.01 * 2**n for n in range(14)],
    GENAI,
)
GENAI_TOOL_SECONDS = _histogram(
    "execute_tool_duration_seconds",
    "One run of a tool.",
    ["gen_ai_tool_name", "error_type"],
    [0.01 * 2**n for n in range(14)],
    GENAI,
)


Metric = TypeVar("Metric", Counter, Gauge, Histogram)


def write() -> None:
    """Write what this process has counted, now: it is about to end, or somebody reads the files."""
    _STEPS.write()


class _Nothing:
    """What counts nothing."""

    def inc(self, amount: float = 1) -> None:
        """Do nothing."""

    dec = set = observe = inc

    def collect(self) -> tuple[()]:
        """Return what there is."""
        return ()


_NOTHING: Any = _Nothing()
_counting = True


def stop_counting() -> None:
    """Count nothing in this process from now on; call it early."""
    global _counting  # noqa: PLW0603 - metrics belong to the process
    _counting = False
    labelled.cache_clear()


@lru_cache(maxsize=4096)
def labelled(metric: Metric, *labels: str) -> Metric:
    """Return a metric's child for label values; looking it up anew costs more than counting."""
    return metric.labels(*labels) if _counting else _NOTHING


def resident() -> int:
    """Return the bytes of memory that this process has."""
    return int(psutil.Process().memory_info().rss)


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
    _read_node(folder)
    if folder is None:
        return generate_latest(REGISTRY)
    write()
    _forget_dead(folder)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _read_node(folder: Path | None) -> None:
    used = {
        "cpu": psutil.cpu_percent(),
        "memory": psutil.virtual_memory().percent,
        "disk": psutil.disk_usage(str(folder or Path.cwd())).percent,
    }
    for resource, percent in used.items():
        labelled(RESOURCES, resource).set(percent / 100)


def _forget_dead(folder: Path) -> None:
    """Drop the gauges of processes that were killed and could not do it themselves."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if pid != os.getpid() and not psutil.pid_exists(pid):
            with suppress(FileNotFoundError):  # another scrape was quicker
                mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
