"""What a shard counts: its messages, its mailbox, its hosts."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from cartrita.clock import Clock
from cartrita.errors import AgentUnavailable, CartritaError, NotFound, QueueFull
from cartrita.journal import Verdict
from cartrita.telemetry.metrics import (
    AGENT_ACTIVE,
    BUDGET_REFUSALS,
    BUDGET_TIGHT,
    GROUP_DOWN,
    GROUP_QUARANTINED,
    HOST_DEATHS,
    HOSTS,
    HOSTS_WANTED,
    MESSAGE_ERRORS,
    MESSAGE_LATENCY,
    MESSAGES_DROPPED,
    MESSAGES_RECEIVED,
    MESSAGES_SENT,
    QUEUE_BOUND,
    QUEUE_DEPTH,
    SHARD_CAPACITY,
    SHARD_RUNNING,
    TASKS_QUARANTINED,
    labelled,
)

WARNING, CRITICAL = 0.7, 0.9
"""From how full a budget is on it is tight."""

RARE = (
    (MESSAGES_DROPPED, ("duplicate", "queue_full", "no_handler")),
    (BUDGET_REFUSALS, ("user", "tenant", "task")),
    (BUDGET_TIGHT, ("warning", "critical")),
)
"""Counters that begin at 0: of one that begins at 1, nobody sees that it grew."""


class Traffic:
    """The messages between the doors and a shard."""

    def __init__(self, shard: str, clock: Clock) -> None:
        self._clock = clock
        self._received = labelled(MESSAGES_RECEIVED, "TASK_REQUEST", "door", shard)
        self._sent = labelled(MESSAGES_SENT, "TASK_RESPONSE", shard, "door")
        self._latency = labelled(MESSAGE_LATENCY, "TASK_REQUEST")
        for counter, values in RARE:
            for value in values:
                labelled(counter, value)
        self._load = [
            labelled(gauge, shard)
            for gauge in (QUEUE_DEPTH, QUEUE_BOUND, SHARD_RUNNING, SHARD_CAPACITY)
        ]

    def __enter__(self) -> None:
        """Count a request."""
        self._received.inc()

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        """Count what it fails with."""
        if isinstance(error, CartritaError):
            self.failed(error)

    def follow(self, answer: asyncio.Future[Any]) -> None:
        """Count the answer to come, or what comes in its place."""
        answer.add_done_callback(partial(self._answered, self._clock.monotonic()))

    def _answered(self, since: float, answer: asyncio.Future[Any]) -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None:
            self._sent.inc()
            self._latency.observe(self._clock.monotonic() - since)
        elif isinstance(error, CartritaError):
            self.failed(error)

    def failed(self, error: CartritaError) -> None:
        """Count an error in place of the answer."""
        labelled(MESSAGE_ERRORS, "TASK_REQUEST", error.code.value).inc()
        if isinstance(error, QueueFull):
            labelled(MESSAGES_DROPPED, "queue_full").inc()
        elif isinstance(error, (AgentUnavailable, NotFound)):
            labelled(MESSAGES_DROPPED, "no_handler").inc()

    def decided(self, verdict: Verdict) -> None:
        """Count what admission decided."""
        if verdict.kind == "budget":
            labelled(BUDGET_REFUSALS, verdict.budget.partition(":")[0]).inc()
        elif verdict.kind != "accepted":
            labelled(MESSAGES_DROPPED, "duplicate").inc()
        elif verdict.pressure >= WARNING:
            level = "critical" if verdict.pressure >= CRITICAL else "warning"
            labelled(BUDGET_TIGHT, level).inc()

    def load(self, waiting: int, bound: int, running: int, capacity: int) -> None:
        """Report how busy the shard is."""
        for gauge, value in zip(self._load, (waiting, bound, running, capacity), strict=True):
            gauge.set(value)


def group_is(  # noqa: PLR0913 - each is a reading of its own
    shard: str,
    name: str,
    *,
    hosts: int,
    wanted: int,
    down: bool,
    quarantined: bool,
    running: Mapping[str, int],
) -> None:
    """Report how a group of agents is.

    Args:
        shard: Whose.
        name: The group's.
        hosts: That run.
        wanted: That there should be.
        down: It was given up.
        quarantined: It runs one task at a time.
        running: Tasks at work, by agent.
    """
    labelled(HOSTS, shard, name).set(hosts)
    labelled(HOSTS_WANTED, shard, name).set(wanted)
    labelled(GROUP_DOWN, shard, name).set(down)
    labelled(GROUP_QUARANTINED, shard, name).set(quarantined)
    labelled(HOST_DEATHS, shard, name)  # begins at 0
    for agent, tasks in running.items():
        labelled(TASKS_QUARANTINED, agent)
        labelled(AGENT_ACTIVE, agent).set(tasks)
