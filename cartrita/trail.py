"""The spans of one task, from what its supervisor saw of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cartrita.journal import ATTEMPT_SHIFT, Event, EventKind, TaskRecord
from cartrita.privacy.masking import redacted
from cartrita.protocol.task import TaskStatus
from cartrita.telemetry.request import Brief
from cartrita.telemetry.span import CLIENT, INTERNAL, SERVER, Span, Value
from cartrita.telemetry.trace import below, parent_id, span_id, trace_id
from cartrita.uses import MODEL, TOOL, Used, provider_of

LOST = "lost"
"""How an attempt ended whose host died."""

GATEWAY_DIED = "gateway_died"
"""How a request ended that nobody was left to answer."""

_NANO = 1e9
_TOLD = ("status", "metrics", "errorCode", "errorMessage", "reason")


@dataclass(slots=True)
class Leg:
    """One attempt. Times are Unix seconds; 0 for unknown.

    Attributes:
        host: Where it ran; empty where nobody knows any more.
        outcome: A status, an error's code, or `LOST`; empty while it runs.
        worked: When its host began, and for how many seconds it worked.
    """

    number: int
    began: float
    host: str = ""
    ended: float = 0.0
    outcome: str = ""
    worked: tuple[float, float] | None = None


@dataclass(slots=True)
class Trail:
    """What a task's spans are made of. Times are Unix seconds; 0 for unknown.

    It holds nothing large: many may wait to be told.

    Attributes:
        trace: The `traceparent` it came with; empty for none.
        asked: When it came in.
        came: When its supervisor got it.
        accepted: When its acceptance was durable.
        ending: When its end went to the journal.
        ended: When that was durable.
        response: What it ended with, without its result.
        special: It is told of, however it ends: what it called for failed.
        asker: The call that waits for it, and the request which that is a part of.
        forsaken: That request, whose gateway died before it could tell of it.
    """

    task_id: str
    task_type: str
    agent: str
    shard: str
    trace: str
    asked: float
    priority: int
    parent: str | None
    retry_of: str | None
    came: float = 0.0
    accepted: float = 0.0
    legs: list[Leg] = field(default_factory=list)
    uses: list[Used] = field(default_factory=list)
    ending: float = 0.0
    ended: float = 0.0
    response: dict[str, Any] = field(default_factory=dict)
    special: bool = False
    asker: tuple[Any, ...] = ()
    forsaken: Brief | None = None

    @classmethod
    def of(cls, record: TaskRecord, agent: str, shard: str, came: float) -> "Trail":
        """Begin the trail of a task."""
        return cls(
            record.task_id,
            record.task_type,
            agent,
            shard,
            record.trace or "",
            record.accepted_at,
            record.priority,
            record.parent,
            record.retry_of,
            came,
        )

    def recall(self, story: Sequence[Event]) -> None:
        """Take over what the journal has of it: an earlier supervisor died."""
        self.came, self.accepted = 0.0, story[0].at
        legs: dict[int, Leg] = {}

        def leg(number: int, at: float) -> Leg:
            return legs.setdefault(number, Leg(number, at))

        for event in story[1:]:
            number = event.step >> ATTEMPT_SHIFT
            if event.kind is EventKind.USED:
                for at, kind, data in event.data:
                    leg(number, at - (data or {}).get("durationMs", 0.0) / 1000)
                    self.used(number, at, kind, data)
                continue
            known = leg(number, event.at)
            if event.kind is EventKind.RETRY:
                known.outcome = (event.data or {}).get("errorCode", LOST)
                known.ended = event.at
        for known in legs.values():  # whoever ran the last one is gone, nobody knows since when
            known.outcome, known.ended = known.outcome or LOST, known.ended or known.began
        self.legs = [legs[number] for number in sorted(legs)]

    def retell(self, story: Sequence[Event]) -> None:
        """Take over the whole course of a task that has ended, as far as the journal has it."""
        self.recall(story[:-1])
        last, metrics = story[-1], story[-1].data.get("metrics") or {}
        took = metrics.get("processingTimeMs", 0.0) / 1000
        number = metrics.get("retryCount", 0) + 1
        if took and (not self.legs or self.legs[-1].number < number):
            self.legs.append(Leg(number, last.at - took))
        if self.legs and self.legs[-1].number == number:
            leg = self.legs[-1]
            leg.ended, leg.outcome = last.at, last.data.get("errorCode") or last.data["status"]
            leg.worked = (last.at - took, took) if took else None
        self.ending = last.at
        self.close(last.at, last.data)

    def used(self, attempt: int, at: float, kind: str, data: Any) -> None:
        """Note a use; what a tool was given and answered is none of a trace's."""
        if kind == TOOL:
            data = {key: data[key] for key in ("name", "durationMs", "failed")}
        self.uses.append(Used(attempt, at, kind, data))

    def close(self, at: float, response: dict[str, Any]) -> None:
        """Note that its end is durable."""
        self.ended = at
        self.response = {key: response[key] for key in _TOLD if key in response}

    def worked(self, outcome: dict[str, Any]) -> None:
        """Note what the host of the present attempt says of it."""
        leg, metrics = self.legs[-1], outcome.get("metrics") or {}
        leg.outcome = outcome.get("errorCode") or outcome["status"]
        if "began" in outcome:
            leg.worked = (outcome["began"], metrics.get("processingTimeMs", 0.0) / 1000)

    def over(self, at: float, outcome: dict[str, Any] | None) -> None:
        """Note that the present attempt is over; without an outcome another one follows."""
        leg = self.legs[-1]
        leg.ended = at
        if not leg.outcome:
            leg.outcome = (outcome.get("errorCode") or outcome["status"]) if outcome else LOST


def attempt_id(task_id: str, attempt: int) -> str:
    """Return the span of an attempt's work, to which what it asks others for belongs."""
    return span_id(task_id, attempt, "agent")


def within_attempt(record: TaskRecord, attempt: int) -> str | None:
    """Return the `traceparent` of what an attempt asks others for."""
    return below(record.trace, attempt_id(record.task_id, attempt)) if record.trace else None


def spans(trail: Trail) -> Iterator[Span]:
    """Return the spans of a task that has ended; what was said in it is in none of them."""
    return _Spans(trail).all()


class _Spans:
    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._trace, self._task = trace_id(trail.trace), trail.task_id
        self._root = span_id(self._task, "task")

    def _span(
        self,
        name: str,
        key: tuple[object, ...],
        parent: str,
        times: tuple[float, float],
        **more: Any,
    ) -> Span:
        start, end = times
        own = span_id(self._task, *key)
        return Span(name, self._trace, own, parent, start, max(start, end), **more)

    def all(self) -> Iterator[Span]:
        trail, asked = self._trail, self._trail.asked
        yield self._whole()
        if trail.forsaken:
            yield self._request(*trail.forsaken)
        accepted = trail.accepted or asked
        came = trail.came or accepted
        yield self._span("door", ("door",), self._root, (asked, came))
        if trail.came:
            yield self._span("journal admit", ("admit",), self._root, (came, accepted))
        free = accepted
        for leg in trail.legs:
            yield self._span("queue", (leg.number, "queue"), self._root, (free, leg.began))
            yield from self._leg(leg)
            free = leg.ended or free
        ending, ended = trail.ending, trail.ended
        yield self._span("journal end", ("end",), self._root, (ending, ended))

    def _request(self, name: str, parent: str, began: float) -> Span:
        """Return the span of a request of which its own gateway can tell nothing any more."""
        own, ended = parent_id(self._trail.trace), max(began, self._trail.ended)
        attributes: dict[str, Value] = {"error.type": GATEWAY_DIED}
        return Span(
            name, self._trace, own, parent, began, ended,
            kind=SERVER, attributes=attributes, error="The gateway died.",
        )  # fmt: skip

    def _whole(self) -> Span:
        trail, response = self._trail, self._trail.response
        metrics = response.get("metrics") or {}
        attributes: dict[str, Value] = {
            "cartrita.task.id": self._task,
            "cartrita.task.type": trail.task_type,
            "cartrita.task.status": response["status"],
            "cartrita.task.priority": trail.priority,
            "cartrita.task.attempts": len(trail.legs),
            "cartrita.shard": trail.shard,
            "cartrita.cost.usd": metrics.get("costUsd", 0.0),
            "cartrita.tokens": metrics.get("tokensUsed", 0),
        }
        if trail.parent:
            attributes["cartrita.task.parent"] = trail.parent
        if trail.retry_of:
            attributes["cartrita.task.retry_of"] = trail.retry_of
        error = _error(response, attributes)
        times = (trail.asked, trail.ended)
        parent = parent_id(trail.trace)
        kind = INTERNAL if trail.parent else SERVER
        return self._span(
            f"task {trail.task_type}", ("task",), parent, times,
            kind=kind, attributes=attributes, error=error,
        )  # fmt: skip

    def _leg(self, leg: Leg) -> Iterator[Span]:
        end = leg.ended or self._trail.ending
        attributes: dict[str, Value] = {"cartrita.attempt": leg.number}
        if leg.host:
            attributes["cartrita.host"] = leg.host
        failed = leg.outcome not in ("", TaskStatus.COMPLETED)
        if failed:
            attributes["error.type"] = leg.outcome
        error = leg.outcome if failed else None
        key = (leg.number, "attempt")
        yield self._span(
            f"attempt {leg.number}", key, self._root, (leg.began, end),
            kind=CLIENT, attributes=attributes, error=error,
        )  # fmt: skip
        yield self._work(leg, span_id(self._task, *key), (leg.began, end), error)
        work = attempt_id(self._task, leg.number)
        for place, use in enumerate(self._trail.uses):
            if use.attempt == leg.number and use.kind in (MODEL, TOOL):
                yield self._use(use, place, work)

    def _work(self, leg: Leg, parent: str, around: tuple[float, float], error: str | None) -> Span:
        """Return the agent's own part, which a host of another clock may have told of."""
        start, end = around
        if leg.worked:
            start = min(max(leg.worked[0], start), end)
            end = min(start + leg.worked[1], end)
        attributes: dict[str, Value] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": self._trail.agent,
        }
        if error:
            attributes["error.type"] = error
        name, key = f"invoke_agent {self._trail.agent}", (leg.number, "agent")
        return self._span(
            name, key, parent, (start, end), kind=SERVER, attributes=attributes, error=error
        )

    def _use(self, use: Used, place: int, parent: str) -> Span:
        data = use.data
        times = (use.at - data.get("durationMs", 0.0) / 1000, use.at)
        named = _model(data) if use.kind == MODEL else _tool(data)
        kind, error = INTERNAL, None
        if use.kind == MODEL:
            kind = CLIENT
        if data.get("failed"):
            named["error.type"] = error = "failed"
        what = named.get("gen_ai.request.model") or named["gen_ai.tool.name"]
        name = f"{named['gen_ai.operation.name']} {what}"
        return self._span(
            name, (use.attempt, "use", place), parent, times,
            kind=kind, attributes=named, error=error,
        )  # fmt: skip


def _error(response: dict[str, Any], attributes: dict[str, Value]) -> str | None:
    """Return why a task failed, for a span's status."""
    if response["status"] == TaskStatus.COMPLETED:
        return None
    attributes["error.type"] = response.get("errorCode") or response["status"]
    if response.get("reason"):
        attributes["cartrita.reason"] = response["reason"]
    return redacted(response.get("errorMessage") or response["status"])


def _model(data: dict[str, Any]) -> dict[str, Value]:
    model = str(data["model"])
    name = model.partition("/")[2]
    return {
        "gen_ai.operation.name": data.get("operation", "chat"),
        "gen_ai.provider.name": provider_of(model),
        "gen_ai.request.model": name or model,
        "gen_ai.usage.input_tokens": data["tokensIn"],
        "gen_ai.usage.output_tokens": data["tokensOut"],
        "cartrita.cost.usd": data["nanoUsd"] / _NANO,
    }


def _tool(data: dict[str, Any]) -> dict[str, Value]:
    return {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": str(data["name"])}
