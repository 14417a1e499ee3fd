"""The steps of a task, with when they were and what they cost, read from its story."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cartrita.uses import provider_of

TASK, QUEUE, ATTEMPT, MODEL, TOOL, PRICE = "task", "queue", "attempt", "model", "tool", "price"


@dataclass(frozen=True, slots=True)
class Step:
    """One of them.

    Attributes:
        kind: `task` for the task itself and its sub-tasks, `queue`, `attempt`, `model`, `tool`,
            or `price` for what the task costs beside the models it uses.
        name: Of the task type, model or tool.
        depth: How many steps it is within.
        start: Milliseconds since the task's acceptance.
        duration: Milliseconds; None while nobody knows.
        usd: What it cost by itself, without the steps within it.
        failed: It did not end well.
        task_id: Of a sub-task.
        attempt: That it belongs to; 0 for none.
        note: How it ended, where that was not well: an error's code, or `lost`.
        provider: Of a model.
    """

    kind: str
    name: str
    depth: int
    start: float
    duration: float | None = None
    usd: float = 0.0
    tokens: int = 0
    failed: bool = False
    task_id: str | None = None
    attempt: int = 0
    note: str = ""
    provider: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Return what there is to tell of it, as plain values."""
        known = {
            "note": self.note, "provider": self.provider, "taskId": self.task_id,
            "attempt": self.attempt,
        }  # fmt: skip
        return {
            "kind": self.kind,
            "name": self.name,
            "depth": self.depth,
            "afterMs": round(self.start, 3),
            "durationMs": None if self.duration is None else round(self.duration, 3),
            "costUsd": self.usd,
            "tokens": self.tokens,
            "failed": self.failed,
            **{name: value for name, value in known.items() if value},
        }


def steps(story: dict[str, Any]) -> list[Step]:
    """Return the steps of a story as a tree from the top, each level in the order of time.

    Args:
        story: As `GET /v3/tasks/{id}/story` tells it.
    """
    return [_whole(story), *_within(story)]


def _whole(story: dict[str, Any]) -> Step:
    ended = story["events"][-1]["afterMs"] if story["response"] else None
    failed = story["response"] is not None and story["status"] != "COMPLETED"
    note = str((story["response"] or {}).get("errorCode") or "")
    return Step(TASK, story["taskType"], 0, 0.0, ended, failed=failed, task_id=story["taskId"],
                note=note)  # fmt: skip


def _within(story: dict[str, Any]) -> Iterator[Step]:
    """Return what lies in the task: waits and attempts, and in those all else."""
    begun, free = _parts(story), 0.0
    attempts = story["attempts"]
    for place, one in enumerate(attempts):
        number, start = one["attempt"], one["afterMs"]
        yield Step(QUEUE, QUEUE, 1, free, max(start - free, 0.0), attempt=number)
        free = _after(story, one["endedAt"])
        took = None if one["endedAt"] is None else max(free - start, 0.0)
        failed = one["outcome"] not in ("completed", "running")
        note = (one.get("errorCode") or one["outcome"]) if failed else ""
        yield Step(ATTEMPT, f"attempt {number}", 1, start, took, failed=failed, attempt=number,
                   note=note)  # fmt: skip
        until = attempts[place + 1]["afterMs"] if place + 1 < len(attempts) else float("inf")
        yield from _taken(begun, lambda step, until=until: step.start < until)
    yield from _taken(begun, lambda _step: True)
    if story["costs"]["flatUsd"]:
        yield Step(PRICE, story["taskType"], 1, 0.0, None, story["costs"]["flatUsd"])


def _taken(groups: list[list[Step]], fits: Any) -> Iterator[Step]:
    """Take the first of these out, as long as they fit."""
    while groups and fits(groups[0][0]):
        yield from groups.pop(0)


def _parts(story: dict[str, Any]) -> list[list[Step]]:
    """Return what an agent did, in the order of time; a sub-task with what is within it."""
    found = [[_model(one)] for one in story["modelCalls"]]
    found += [[_tool(one)] for one in story["toolCalls"]]
    found += [list(_child(one, 2)) for one in story["children"]]
    return sorted(found, key=lambda group: group[0].start)


def _model(one: dict[str, Any]) -> Step:
    took, tokens = one["durationMs"], one["tokensIn"] + one["tokensOut"]
    start = max(one["afterMs"] - took, 0.0)
    return Step(MODEL, one["model"], 2, start, took, one["costUsd"], tokens, one["failed"],
                attempt=one["attempt"], provider=provider_of(one["model"]))  # fmt: skip


def _tool(one: dict[str, Any]) -> Step:
    took = one["durationMs"]
    start = max(one["afterMs"] - (took or 0.0), 0.0)
    return Step(TOOL, one["name"], 2, start, took, failed=one["failed"], attempt=one["attempt"])


def _child(one: dict[str, Any], depth: int) -> Iterator[Step]:
    failed = one["endedAt"] is not None and one["status"] != "COMPLETED"
    yield Step(TASK, one["taskType"], depth, one["afterMs"], one["durationMs"], one["costUsd"],
               one["tokens"], failed, one["taskId"], note=one.get("errorCode", ""))  # fmt: skip
    for child in one["children"]:
        yield from _child(child, depth + 1)


def _after(story: dict[str, Any], at: str | None) -> float:
    """Return the milliseconds from the task's acceptance to a time."""
    if at is None:
        return float(story["events"][-1]["afterMs"])
    begun = datetime.fromisoformat(story["accepted"]["at"])
    return (datetime.fromisoformat(at) - begun).total_seconds() * 1000


def costs(story: dict[str, Any]) -> dict[str, Any]:
    """Return what each step of a task cost, as `GET /v3/tasks/{id}/cost` tells it.

    The costs of the steps add up to the whole.
    """
    told = story["costs"]
    paid: Sequence[Step] = [one for one in steps(story)[1:] if one.kind in (MODEL, TASK, PRICE)]
    return {
        "taskId": story["taskId"],
        "taskType": story["taskType"],
        "status": story["status"],
        "totalUsd": told["totalUsd"],
        "tokens": told["tokens"] + told["childrenTokens"],
        "complete": not (story["usesCut"] or story["childrenCut"]),
        "steps": [_cost(one) for one in paid],
    }


def _cost(step: Step) -> dict[str, Any]:
    told: dict[str, Any] = {
        "kind": step.kind,
        "name": step.name,
        "afterMs": round(step.start, 3),
        "costUsd": step.usd,
        "tokens": step.tokens,
    }
    if step.attempt:
        told["attempt"] = step.attempt
    if step.task_id:
        told["taskId"] = step.task_id
    return told
