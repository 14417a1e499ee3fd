"""A task's whole story, rebuilt from what the journal has of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cartrita.clock import iso
from cartrita.effects import State
from cartrita.errors import InternalFailure
from cartrita.journal import (
    ATTEMPT_SHIFT,
    END_STEP,
    STATUS_OF,
    Event,
    EventKind,
    Relative,
    TaskRecord,
)
from cartrita.ledger import EffectRow
from cartrita.protocol.task import TaskStatus
from cartrita.story import SAID, TYPE_OF, Entry, cursor_of, narrate, to_wire
from cartrita.telemetry.trace import trace_id
from cartrita.uses import CUT, LONGEST_INPUT, LONGEST_OUTPUT, MODEL, TOOL, Used, brief, uses

RUNNING, LOST = "running", "lost"
"""Outcomes of attempts; the others are what ended the task, and `failed`."""

_NANO = 1e9
_FOR_EVER = float("inf")
_LEFT = {"started": TaskStatus.RUNNING} | {TYPE_OF[kind]: STATUS_OF[kind] for kind in TYPE_OF}
"""The status in which an entry of the log leaves its task; the others leave it waiting."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known of a task beside its own events.

    Attributes:
        family: The tasks it called for, and theirs.
        family_cut: There may be more of them.
        effects: What it, or another try at the same work, did to the outside world.
    """

    family: Sequence[Relative] = ()
    family_cut: bool = False
    effects: Sequence[EffectRow] = ()


def retell(story: Sequence[Event], beside: Beside, until: int | None = None) -> dict[str, Any]:
    """Return a story as `GET /v3/tasks/{id}/story` tells it.

    Args:
        story: A task's events in the journal, from the first on.
        beside: What else is known of the task.
        until: Tell how it stood when this step had been told, and nothing later.
    """
    if not story or story[0].kind is not EventKind.ACCEPTED:
        raise InternalFailure("A story begins with an acceptance.")
    return _Teller(story, beside, END_STEP if until is None else until).tell(until)


class _Teller:
    """Tells one story up to a step.

    What does not stand at a step of its own, such as a sub-task, is told by its time.
    """

    def __init__(self, story: Sequence[Event], beside: Beside, step: int) -> None:
        self._first, self._beside = story[0], beside
        self._record = TaskRecord.from_wire(story[0].data)
        entries = narrate(story)
        self._entries = [entry for entry in entries if entry.step <= step]
        whole = len(self._entries) == len(entries)
        self._now = _FOR_EVER
        if not whole:  # nothing is beside a task that has not started
            begun = step >> ATTEMPT_SHIFT > 0
            self._now = entries[len(self._entries)].at if begun else -_FOR_EVER
        self._uses = [use for use in uses(story) if whole or self._before(use, step)]
        last = self._entries[-1]
        self._response: dict[str, Any] | None = last.data if last.step == END_STEP else None

    def _before(self, use: Used, step: int) -> bool:
        attempt = step >> ATTEMPT_SHIFT
        return use.attempt < attempt or (use.attempt == attempt and use.at <= self._now)

    def tell(self, until: int | None) -> dict[str, Any]:
        """Return the story."""
        first, record = self._first, self._record
        models, tools, children = self._models(), self._tools(), self._children()
        told = {
            "taskId": record.task_id,
            "taskType": record.task_type,
            "status": self._status(),
            "shard": first.shard,
            "until": None if until is None else cursor_of(until),
            "accepted": _accepted(record, first.at),
            "attempts": self._attempts(),
            "events": [self._event(entry) for entry in self._entries],
            "modelCalls": models,
            "toolCalls": tools,
            "usesCut": any(use.kind == CUT for use in self._uses),
            "children": children,
            "childrenCut": self._beside.family_cut,
            "costs": self._costs(models, children),
            "response": self._response,
        }
        effects = [one for one in self._beside.effects if one.begun_at <= self._now]
        if effects:
            told["effects"] = [self._effect(one) for one in effects]
        return told

    def _effect(self, one: EffectRow) -> dict[str, Any]:
        ended = one.ended_at if (one.ended_at or self._now) < self._now else None
        begun = one.ended_at is not None and ended is None
        return {
            "effectId": one.id,
            "taskId": one.task_id,
            "attempt": one.attempt,
            **self._when(one.begun_at),
            "name": one.name,
            "key": one.key,
            "state": (State.BEGUN if begun else one.state).value,
            "endedAt": iso(ended) if ended else None,
            "result": brief(one.result, LONGEST_OUTPUT) if ended else None,
            "settledBy": one.settled_by if ended else None,
        }

    def _when(self, at: float) -> dict[str, Any]:
        return {"at": iso(at), "afterMs": round((at - self._first.at) * 1000, 3)}

    def _event(self, entry: Entry) -> dict[str, Any]:
        return {**to_wire(self._record.task_id, entry, iso(entry.at)), **self._when(entry.at)}

    def _status(self) -> str:
        telling = [entry for entry in self._entries if entry.type not in SAID]
        return _LEFT.get(telling[-1].type, TaskStatus.PENDING).value

    def _attempts(self) -> list[dict[str, Any]]:
        """Return each attempt that is known to have begun, and how it ended."""
        found: list[dict[str, Any]] = []
        for entry in self._entries:
            if entry.type in ("reset", "retry") or entry.step == END_STEP:
                self._end(found, entry)
            elif entry.type == "started":
                attempt = {"attempt": entry.step >> ATTEMPT_SHIFT, **self._when(entry.at)}
                found.append({**attempt, "endedAt": None, "outcome": RUNNING, "alone": None})
        return found

    def _end(self, found: list[dict[str, Any]], entry: Entry) -> None:
        """Note how the last attempt ended, unless that is known."""
        if not found or found[-1]["outcome"] != RUNNING:
            return
        last = found[-1]
        last["endedAt"] = iso(entry.at)
        last["outcome"] = entry.type if entry.step == END_STEP else LOST
        if entry.type == "retry":
            last |= _why(entry.data or {})

    def _models(self) -> list[dict[str, Any]]:
        """Return the calls of models, each with what the task had cost by then."""
        found, total = [], 0
        for use in self._uses:
            if use.kind == MODEL:
                data = dict(use.data)
                nano = data.pop("nanoUsd")
                total += nano
                told = {"attempt": use.attempt, **self._when(use.at), **data}
                found.append({**told, "costUsd": nano / _NANO, "totalUsd": total / _NANO})
        return found

    def _tools(self) -> list[dict[str, Any]]:
        """Return the runs of tools: those that were noted, and those that readers were shown.

        Most agents do both: then it is one run, and the note knows how long it took.
        """
        found = [
            (use.at, {"attempt": use.attempt, **self._when(use.at), **use.data, "shown": False})
            for use in self._uses
            if use.kind == TOOL
        ]
        noted = [told for _, told in found]
        for entry in (one for one in self._entries if _answered(one)):
            shown = self._shown(entry)
            same = next((one for one in noted if not one["shown"] and _alike(one, shown)), None)
            if same is None:
                found.append((entry.at, shown))
            else:
                same["shown"] = True
        return [told for _, told in sorted(found, key=lambda one: one[0])]

    def _shown(self, entry: Entry) -> dict[str, Any]:
        data = entry.data
        return {
            "attempt": entry.step >> ATTEMPT_SHIFT,
            **self._when(entry.at),
            "name": data["name"],
            "input": brief(data["input"], LONGEST_INPUT),
            "output": brief(data["output"], LONGEST_OUTPUT),
            "durationMs": None,
            "failed": False,
            "shown": True,
        }

    def _children(self) -> list[dict[str, Any]]:
        """Return the sub-tasks as trees."""
        roots: list[dict[str, Any]] = []
        below = {self._record.task_id: roots}
        # By acceptance: nobody is older than its parent.
        for one in sorted(self._beside.family, key=lambda one: (one.accepted_at, one.task_id)):
            if one.accepted_at <= self._now and one.parent in below:
                told = self._child(one)
                below[one.parent].append(told)
                below[one.task_id] = told["children"]
        return roots

    def _child(self, one: Relative) -> dict[str, Any]:
        ended = one.finished_at if (one.finished_at or self._now) < self._now else None
        running = one.finished_at is not None and ended is None
        status = TaskStatus.RUNNING if running else one.status
        known = {"errorCode": one.error_code, "reason": one.reason} if ended else {}
        return {
            "taskId": one.task_id,
            "taskType": one.task_type,
            "status": status.value,
            **self._when(one.accepted_at),
            "endedAt": iso(ended) if ended else None,
            "durationMs": round((ended - one.accepted_at) * 1000, 3) if ended else None,
            **{name: value for name, value in known.items() if value},
            "costUsd": one.used.nano_usd / _NANO if ended else 0.0,
            "tokens": one.used.tokens if ended else 0,
            "children": [],
        }

    def _costs(
        self, models: Sequence[dict[str, Any]], children: Iterable[dict[str, Any]]
    ) -> dict[str, Any]:
        """Return what the task cost, and what it came to with its sub-tasks.

        What attempts used that were lost is paid for, too.
        """
        gone = {one["attempt"] for one in self._attempts() if one["outcome"] == LOST}
        used = sum(call["costUsd"] for call in models if call["attempt"] not in gone)
        lost = sum(call["costUsd"] for call in models if call["attempt"] in gone)
        tokens = sum(_tokens(call) for call in models)
        if self._response:
            metrics = self._response.get("metrics") or {}
            own, tokens = metrics.get("costUsd", 0.0), metrics.get("tokensUsed", 0)
        else:
            own = used + lost
        theirs = list(_all(children))
        usd = sum(child["costUsd"] for child in theirs)
        costs = {
            "usd": own,
            "modelsUsd": used,
            "flatUsd": max(own - used - lost, 0.0),
            "lostUsd": lost,
            "childrenUsd": usd,
            "totalUsd": own + usd,
        }
        return {
            **{name: round(value, 9) for name, value in costs.items()},
            "tokens": tokens,
            "childrenTokens": sum(child["tokens"] for child in theirs),
        }


def _why(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of the end of an attempt that another one followed."""
    if "errorCode" in data:
        return {"outcome": "failed", "errorCode": data["errorCode"]}
    return {"outcome": LOST, "alone": bool(data.get("solo"))}


def _answered(entry: Entry) -> bool:
    """Tell whether an entry is a tool's answer."""
    return entry.type == "tool" and entry.data.get("output") is not None


def _alike(noted: Mapping[str, Any], shown: Mapping[str, Any]) -> bool:
    """Tell whether a note and what readers were shown are of the same run of a tool."""
    return all(noted[part] == shown[part] for part in ("attempt", "name", "input"))


def _tokens(call: Mapping[str, Any]) -> int:
    return int(call["tokensIn"] + call["tokensOut"])


def _all(children: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for child in children:
        yield child
        yield from _all(child["children"])


def _accepted(record: TaskRecord, at: float) -> dict[str, Any]:
    """Return what was asked for, and by whom."""
    who = record.principal
    return {
        "at": iso(at),
        "user": who.user,
        "tenant": who.tenant,
        "parameters": record.params,
        "priority": record.priority,
        "delivery": record.delivery.value,
        "maxAttempts": record.max_attempts,
        "deadline": iso(record.deadline),
        "sessionId": record.session_id,
        "preferredAgent": record.preferred_agent,
        "preferences": record.preferences,
        "metadata": record.metadata,
        "idempotencyKey": record.idempotency_key,
        "parent": record.parent,
        "retryOf": record.retry_of,
        "traceId": trace_id(record.trace) if record.trace else None,
        "reserved": {"usd": record.reserve_nano / _NANO, "tokens": record.reserve_tokens},
        "budget": {"maxUsd": record.max_usd, "maxTokens": record.max_tokens},
    }
