"""How an outcome becomes the response that clients read and metrics count."""

from collections.abc import Sequence
from typing import Any

from cartrita.errors import (
    AgentFailed,
    AgentUnavailable,
    CartritaError,
    OutcomeUnknown,
    Reason,
    TaskCancelled,
    TaskTimeout,
)
from cartrita.journal import END_OF, Remnant, TaskRecord
from cartrita.protocol.task import TaskStatus
from cartrita.story import TYPE_OF
from cartrita.telemetry.metrics import (
    COST_INCURRED,
    MODEL_USAGE,
    TASK_DURATION,
    TASK_QUEUE_TIME,
    TASK_RETRIES,
    TASKS_COMPLETED,
    TASKS_FAILED,
    TASKS_QUARANTINED,
    TOKENS_USED,
    labelled,
)
from cartrita.telemetry.trace import trace_id


def failure(error: CartritaError) -> dict[str, Any]:
    """Return the outcome of an attempt that ended in `error`."""
    status = TaskStatus.FAILED
    if isinstance(error, TaskTimeout):
        status = TaskStatus.TIMEOUT
    elif isinstance(error, TaskCancelled):
        status = TaskStatus.CANCELLED
    return {
        "status": status.value,
        "errorMessage": error.message,
        "errorCode": error.code.value,
        "reason": error.reason,
        "retryable": error.retryable,
        "retryAfter": error.retry_after,
    }


def agent_down(agent: str) -> AgentUnavailable:
    """Return the error of a task whose agent's hosts were given up."""
    return AgentUnavailable(f"The agent {agent!r} is down.", retry_after=10)


def attempt_lost(record: TaskRecord, *, repeatable: bool) -> dict[str, Any]:
    """Return the outcome of a task whose host died and that will not run again."""
    if repeatable:
        text = f"Its worker died {record.max_attempts} times."
        return failure(AgentFailed(text, Reason.HOST_DIED))
    text = "Its worker died after it had started; what it had done by then is unknown."
    return failure(OutcomeUnknown(text))


def attempt_told(done: Sequence[str]) -> dict[str, Any]:
    """Return the outcome of a task that may not run again, where the ledger tells what it did.

    Args:
        done: Names of effects.
    """
    did = f"It had done {', '.join(done)}" if done else "It had had no effect"
    text = f"Its worker died after it had started. {did}, and does not run again by itself."
    return {**failure(AgentFailed(text, Reason.HOST_DIED)), "retryable": not done}


def in_doubt(outcome: dict[str, Any], effects: Sequence[str]) -> dict[str, Any]:
    """Say of an outcome that nobody knows whether some effects happened.

    Args:
        outcome: As a host or `failure` made it.
        effects: Their names.
    """
    if not effects:
        return outcome
    text = f"Whether it had the effect {', '.join(effects)} is unknown; see `cartrita effects`."
    if outcome["status"] == TaskStatus.COMPLETED:
        return {**outcome, "warnings": [*(outcome.get("warnings") or ()), text]}
    told = {**outcome, "errorMessage": f"{outcome['errorMessage']} {text}", "retryable": False}
    if outcome["status"] == TaskStatus.FAILED:
        told["errorCode"] = OutcomeUnknown.code.value
    if outcome.get("reason") != Reason.QUARANTINED:
        told["reason"] = Reason.OUTCOME_UNKNOWN
    return told


def charged(outcome: dict[str, Any], spent: tuple[float, int]) -> dict[str, Any]:
    """Add what earlier attempts used."""
    if spent == (0.0, 0):
        return outcome
    used = outcome.get("metrics") or {}
    usd, tokens = used.get("costUsd", 0.0) + spent[0], used.get("tokensUsed", 0) + spent[1]
    return {**outcome, "metrics": {**used, "costUsd": usd, "tokensUsed": tokens}}


def quarantined(record: TaskRecord, kills: int) -> dict[str, Any]:
    """Return the outcome of a task that kills whatever host it runs on."""
    text = (
        f"It killed its worker {kills} times while nothing else ran there. "
        f"See `cartrita quarantine show {record.task_id}`."
    )
    return failure(AgentFailed(text, Reason.QUARANTINED))


def respond(
    record: TaskRecord, outcome: dict[str, Any], *, queued: float, attempts: int
) -> dict[str, Any]:
    """Return the TaskResponse of an outcome in wire form.

    Args:
        record: The task.
        outcome: As a host or `failure` made it.
        queued: Seconds between acceptance and the last start.
        attempts: How often it was started.
    """
    metrics = outcome.get("metrics") or {}
    response = {
        "taskId": record.task_id,
        "status": outcome["status"],
        "metrics": {
            "processingTimeMs": 0.0,
            "costUsd": 0.0,
            "tokensUsed": 0,
            "customMetrics": {},
            **metrics,
            "queueTimeMs": round(max(queued, 0.0) * 1000, 3),
            "retryCount": max(attempts - 1, 0),
        },
        "warnings": outcome.get("warnings") or [],
    }
    for key in ("result", "errorMessage", "errorCode", "reason", "retryable"):
        if outcome.get(key) is not None:
            response[key] = outcome[key]
    if record.trace:
        response["traceId"] = trace_id(record.trace)
    return response


def remains(left: Remnant) -> dict[str, Any]:
    """Return what can still be said of a task whose events were forgotten."""
    response: dict[str, Any] = {
        "taskId": left.task_id,
        "status": left.status.value,
        "metrics": {"costUsd": left.used.nano_usd / 1e9, "tokensUsed": left.used.tokens},
        "warnings": ["Its result was kept for a time, which is over (`retention.events_days`)."],
    }
    told = {"errorCode": left.error_code, "reason": left.reason}
    return response | {key: value for key, value in told.items() if value is not None}


def end_type(response: dict[str, Any]) -> str:
    """Return the type of the log entry that tells of a response."""
    return TYPE_OF[END_OF[TaskStatus(response["status"])]]


def report(task_type: str, agent: str, response: dict[str, Any], seconds: float) -> None:
    """Count an ended task in the metrics."""
    status, metrics = response["status"], response["metrics"]
    labelled(TASK_DURATION, task_type, agent, status).observe(seconds)
    if status == TaskStatus.COMPLETED:
        labelled(TASKS_COMPLETED, task_type, agent).inc()
    else:
        labelled(TASKS_FAILED, task_type, agent, response.get("errorCode", "")).inc()
    model = metrics.get("modelUsed")
    labelled(TASK_QUEUE_TIME, task_type).observe(metrics["queueTimeMs"] / 1000)
    if metrics["retryCount"]:
        labelled(TASK_RETRIES, task_type, agent).inc(metrics["retryCount"])
    if response.get("reason") == Reason.QUARANTINED:
        labelled(TASKS_QUARANTINED, agent).inc()
    if model:
        labelled(MODEL_USAGE, model, task_type).inc()
        labelled(TOKENS_USED, model, task_type).inc(metrics["tokensUsed"])
    if metrics["costUsd"]:
        labelled(COST_INCURRED, model or "none", task_type).inc(metrics["costUsd"])
