"""Where a task stands, told from its story."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cartrita.journal import (
    ATTEMPT_SHIFT,
    MODEL_USED,
    STATUS_IN,
    STATUS_OF,
    Event,
    EventKind,
    TaskRecord,
)
from cartrita.protocol.task import TaskStatus


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task's story, folded."""

    record: TaskRecord
    shard: str
    status: TaskStatus
    attempts: int
    response: dict[str, Any] | None
    deaths: tuple[bool, ...] = ()
    """A host died under it: alone with it, or with others."""

    spent: tuple[float, int] = (0.0, 0)
    """USD and tokens of attempts that are over, as far as anybody noted them."""


def fold(story: Sequence[Event]) -> TaskState | None:
    """Fold a story into where its task stands; None for an empty one."""
    if not story or story[0].kind is not EventKind.ACCEPTED:
        return None
    record = TaskRecord.from_wire(story[0].data)
    status, attempts, response = TaskStatus.PENDING, 0, None
    deaths: list[bool] = []
    usd, tokens = 0.0, 0
    noted: dict[int, tuple[int, int]] = {}
    for event in story[1:]:
        if event.kind.terminal:
            status, response = STATUS_OF[event.kind], event.data
            continue
        status = STATUS_IN.get(event.kind, status)
        attempt = event.step >> ATTEMPT_SHIFT
        attempts = max(attempts, attempt)
        if event.kind is EventKind.USED:
            noted[attempt] = _added(noted.get(attempt, (0, 0)), event.data)
        elif event.kind is EventKind.RETRY:
            data = event.data or {}
            if "errorCode" not in data:
                deaths.append(bool(data.get("solo")))
            if "costUsd" in data:  # it told itself what it used
                noted[attempt] = (0, 0)
                usd, tokens = usd + data["costUsd"], tokens + data["tokensUsed"]
    usd += sum(nano_usd for nano_usd, _ in noted.values()) / 10**9
    spent = (usd, tokens + sum(count for _, count in noted.values()))
    return TaskState(record, story[0].shard, status, attempts, response, tuple(deaths), spent)


def _added(so_far: tuple[int, int], rows: Sequence[Sequence[Any]]) -> tuple[int, int]:
    """Add the nano-USD and tokens that rows of an attempt's uses tell."""
    nano_usd, tokens = so_far
    for _, kind, data in rows:
        if kind == MODEL_USED:
            nano_usd += data["nanoUsd"]
            tokens += data["tokensIn"] + data["tokensOut"]
    return nano_usd, tokens
