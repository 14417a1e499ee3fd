"""Accepted tasks, and their ends, for tests of whatever carries them."""

import hashlib

from cartrita.clock import new_id
from cartrita.journal import Event, EventKind, TaskRecord
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskStatus

ADA = Principal("ada", "ada")
EVE = Principal("eve", "eve")
NOW = 1_700_000_000.0


def digest(text):
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def record(text="hello", **changes):
    """Return a task that asks for `text`."""
    fields = {
        "task_id": new_id(),
        "task_type": "test.echo",
        "params": {"text": text},
        "principal": ADA,
        "digest": digest(text),
        "accepted_at": NOW,
        "deadline": NOW + 60,
    }
    return TaskRecord(**(fields | changes))


def response(task, status=TaskStatus.COMPLETED, **changes):
    """Return the wire form of an end of a task."""
    metrics = {"costUsd": 0.0, "tokensUsed": 0}
    return {"taskId": task.task_id, "status": status.value, "metrics": metrics} | changes


def end(task, status=TaskStatus.COMPLETED, **changes):
    """Return the event that ends a task."""
    return Event.end(task.task_id, status, response(task, status, **changes))


def started(task, attempt=1):
    return Event.within(task.task_id, attempt, 1, EventKind.STARTED)


def retried(task, attempt=1):
    return Event.within(task.task_id, attempt, 2, EventKind.RETRY)
