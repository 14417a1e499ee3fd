"""Builds the calls of the API."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict
from urllib.parse import quote
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from cartrita.client.steps import Call
from cartrita.clock import new_id
from cartrita.errors import InvalidParameters
from cartrita.protocol.task import Budget, Preferences, TaskRequest
from cartrita.protocol.wire import WireModel, field_errors

LONGEST_LOOK = 30.0
"""Seconds one look at a task waits for its end; the server allows 60."""

SILENCE = 60.0
"""Seconds a submission may be silent before the task is looked at instead."""

ANSWER = 10.0
"""Seconds a server may take to answer what needs no waiting."""

QUIET = 45.0
"""Seconds a stream may be silent, in which the server would have sent three comments."""

COMMAND = 120.0
"""Seconds a command may take beside the grace that it gives."""

BLOBS = "/v3/blobs"
_QUARANTINE, _EFFECTS, _KEYS = "/v3/quarantine", "/v3/effects", "/v3/keys"
_APPROVALS = "/v3/approvals"
_BUDGETS = "/v3/budgets"

Parameters = Mapping[str, Any] | WireModel

EffectState = Literal["unknown", "begun", "done", "not_done"]
EffectOutcome = Literal["done", "not_done"]
ApprovalState = Literal["pending", "approved", "denied", "expired"]
ApprovalDecision = Literal["approve", "deny"]


class TaskOptions(TypedDict, total=False):
    """What may be said of a task beside its type and parameters.

    Attributes:
        priority: 0 to 10, 5 by default; higher runs first.
        timeout: Seconds from acceptance to the end, queue included; the type's by default.
        deadline: The earlier of this and `timeout` holds. It needs a time zone.
        task_id: A UUID; a repeat with the same one is the same task. Minted by default.
        delivery: What may happen to it when its host dies; the type's by default.
        session_id: The conversation it belongs to.
        workspace_id: The tenant; the user's own by default.
        budget: The ceiling of this task and its children.
        preferences: Hints to model selection.
        idempotency_key: Repeats with the same one within a day are the same task.
        traceparent: The W3C trace to continue.
    """

    priority: int
    timeout: float
    deadline: datetime
    task_id: str | UUID
    delivery: Literal["AT_MOST_ONCE", "AT_LEAST_ONCE", "EXACTLY_ONCE"]
    session_id: str
    workspace_id: str
    budget: Budget
    preferences: Preferences
    preferred_agent: str
    metadata: Mapping[str, str]
    idempotency_key: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A task to be submitted, under an id of its own.

    Attributes:
        patience: Seconds its caller gave it, if any.
    """

    task_id: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str]
    patience: float | None

    def waiting(self) -> Call:
        """Submit it and wait for its end."""
        return self._call(self.headers, SILENCE)

    def asynchronous(self) -> Call:
        """Submit it and wait for its acceptance."""
        return self._call({**self.headers, "Prefer": "respond-async"}, 2 * ANSWER)

    def _call(self, headers: Mapping[str, str], timeout: float) -> Call:
        return Call("POST", "/v3/tasks", self.body, headers=headers, timeout=timeout)


def submission(task_type: str, parameters: Parameters | None, options: TaskOptions) -> Submission:
    """Describe a task that is to be submitted.

    Raises:
        InvalidParameters: It cannot be written as a request.
    """
    fields: dict[str, Any] = dict(options)
    key, trace = fields.pop("idempotency_key", None), fields.pop("traceparent", None)
    seconds: float | None = fields.pop("timeout", None)
    fields["timeout"] = None if seconds is None else round(seconds * 1000)
    fields.setdefault("task_id", new_id())
    fields.update(task_type=task_type, parameters={})
    try:
        request = TaskRequest.model_validate(fields)
    except ValidationError as error:
        wrong = field_errors(error)
        names = "; ".join(f"{item.field}: {item.message}" for item in wrong)
        raise InvalidParameters(f"This is no task: {names}.", fields=wrong) from None
    headers = {"Idempotency-Key": key, "traceparent": trace}
    return Submission(
        task_id=str(request.task_id),
        # Apart from the model, which would turn NaN into null.
        body=_json({**request.to_wire(), "parameters": _plain(parameters)}),
        headers={name: text for name, text in headers.items() if text is not None},
        patience=seconds,
    )


def _plain(parameters: Parameters | None) -> Mapping[str, Any]:
    if isinstance(parameters, WireModel):  # what was left out is left to the server
        return parameters.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return parameters or {}


def _json(value: Any) -> bytes:
    """Write JSON, which knows neither NaN nor lone surrogates."""
    try:
        return json.dumps(to_jsonable_python(value), allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, PydanticSerializationError) as error:
        raise InvalidParameters(f"This cannot be written as JSON: {error}.") from None


def contents(blob_id: str) -> Call:
    """Fetch what a blob holds."""
    return Call("GET", f"/v3/blobs/{blob_id}", timeout=QUIET)


def look(task_id: str | UUID, wait: float = 0.0) -> Call:
    """Look at a task; the server waits up to `wait` seconds for its end."""
    seconds = min(max(wait, 0.0), LONGEST_LOOK)
    query = {"wait": f"{seconds:.3f}"} if seconds else {}
    return replace(_task("GET", task_id), query=query, timeout=seconds + ANSWER)


def listening(task_id: str | UUID, after: str | None) -> Call:
    """Open the stream of a task's events behind a cursor."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
    call = _task("GET", task_id, end="/events")
    return replace(call, headers=headers, timeout=QUIET, streamed=True)


def subscription(task_id: str | UUID, after: str | None) -> Call:
    """Open a socket, and have it tell a task's events behind a cursor."""
    name = str(_uuid("taskId", "task id", task_id))
    message = {"op": "subscribe", "id": name, "taskId": name} | ({"after": after} if after else {})
    return Call("GET", "/v3/ws", _json(message), timeout=2 * ANSWER, streamed=True, upgraded=True)


def replay(task_id: str | UUID, until: str | None) -> Call:
    """Read a task's whole story."""
    call = _task("GET", task_id, end="/story")
    return replace(call, query={"until": until}) if until else call


def cancellation(task_id: str | UUID) -> Call:
    """Cancel a task."""
    return _task("DELETE", task_id)


def quarantined(limit: int, before: str | UUID | None) -> Call:
    """List quarantined tasks."""
    query = {"limit": str(limit)} | ({"before": str(before)} if before else {})
    return Call("GET", _QUARANTINE, query=query)


def inspection(task_id: str | UUID) -> Call:
    """Look at a quarantined task."""
    return _task("GET", task_id, _QUARANTINE)


def retrial(task_id: str | UUID, parameters: Parameters | None) -> Call:
    """Try a quarantined task again. A repeat would be told that this was done already."""
    call = replace(_task("POST", task_id, _QUARANTINE, "/retry"), repeatable=False)
    if parameters is None:
        return call
    return replace(call, body=_json({"parameters": _plain(parameters)}))


def trying_again(task_id: str | UUID) -> Call:
    """Try a task again that did not complete. A repeat finds the same new task."""
    return _task("POST", task_id, end="/retry")


def erasure(owner: str) -> Call:
    """Erase answers that are kept to be given again."""
    kind, _, name = owner.partition(":")
    return Call("DELETE", f"/v3/answers/{quote(kind, safe='')}/{quote(name, safe='')}")


def discarding(task_id: str | UUID) -> Call:
    """Give a quarantined task up."""
    return _task("DELETE", task_id, _QUARANTINE)


def effects(state: str, limit: int, before: str | UUID | None) -> Call:
    """List effects on the outside world."""
    query = {"state": state, "limit": str(limit)} | ({"before": str(before)} if before else {})
    return Call("GET", _EFFECTS, query=query)


def resolution(effect_id: str | UUID, outcome: str, result: Any) -> Call:
    """Say what became of an effect. A repeat would be told that it is known already."""
    said = {"outcome": outcome} | ({} if result is None else {"result": result})
    name = _uuid("effectId", "effect id", effect_id)
    return Call("POST", f"{_EFFECTS}/{name}/resolve", _json(said), repeatable=False)


def approvals(state: str, limit: int, before: str | UUID | None) -> Call:
    """List tools that wait for a person."""
    query = {"state": state, "limit": str(limit)} | ({"before": str(before)} if before else {})
    return Call("GET", _APPROVALS, query=query)


def decision(approval: str | UUID, said: str, reason: str) -> Call:
    """Approve or deny. A repeat would be told that it is decided already."""
    body = _json({"decision": said, "reason": reason})
    name = _uuid("approvalId", "id of an approval", approval)
    return Call("POST", f"{_APPROVALS}/{name}", body, repeatable=False)


def key_making(name: str, scopes: Sequence[str] | None, days: int | None) -> Call:
    """Make an API key. A repeat would make another."""
    said = {"name": name, "scopes": None if scopes is None else list(scopes)}
    body = _json({**said, "expiresInDays": days})
    return Call("POST", _KEYS, body, repeatable=False)


def keys(limit: int, before: str | UUID | None) -> Call:
    """List API keys."""
    query = {"limit": str(limit)} | ({"before": str(before)} if before else {})
    return Call("GET", _KEYS, query=query)


def key_revocation(key_id: str | UUID) -> Call:
    """Take an API key back. A repeat would find none."""
    name = _uuid("keyId", "id of an API key", key_id)
    return Call("DELETE", f"{_KEYS}/{name}", repeatable=False)


def budgets(limit: int, after: str | None) -> Call:
    """List budgets."""
    query = {"limit": str(limit)} | ({"after": after} if after else {})
    return Call("GET", _BUDGETS, query=query)


def budget(method: str, budget: str, told: Mapping[str, Any] | None = None) -> Call:
    """Look at a budget, set it, or have it follow the settings again."""
    kind, _, owner = budget.partition(":")
    body = None if told is None else _json(dict(told))
    path = f"{_BUDGETS}/{quote(kind, safe='')}/{quote(owner, safe='')}"
    return Call(method, path, body, repeatable=method != "DELETE")


def usage(by: str, user: str | None, since: datetime | None, until: datetime | None) -> Call:
    """Add up what was charged."""
    asked = {"user": user, "since": aware("since", since), "until": aware("until", until)}
    query = {name: text for name, text in asked.items() if text}
    return Call("GET", "/v3/usage", query={"by": by, **query})


def aware(field: str, moment: datetime | None) -> str | None:
    """Write a time as the API reads it.

    Raises:
        InvalidParameters: It has no time zone.
    """
    if moment is None:
        return None
    if moment.tzinfo is None:
        wrong = [(field, "needs a time zone")]
        raise InvalidParameters(f"{field!r} needs a time zone.", None, wrong)
    return moment.astimezone(UTC).isoformat()


def order(command: str, target: str, arguments: Mapping[str, Any]) -> Call:
    """Give a command. A repeat of one that adds something would add it twice."""
    body = _json({"command": command, "target": target, "arguments": dict(arguments)})
    grace = arguments.get("grace")
    patience = COMMAND + (grace if isinstance(grace, int | float) else 0)
    return Call("POST", "/v3/admin/commands", body, timeout=patience, repeatable=False)


def record(limit: int, before: int | None) -> Call:
    """Read what was commanded."""
    query = {"limit": str(limit)} | ({"before": str(before)} if before is not None else {})
    return Call("GET", "/v3/admin/audit", query=query)


def bridge(method: str, end: str = "", told: Mapping[str, Any] | None = None) -> Call:
    """Look at the move from v2, or order something of it."""
    body = None if told is None else _json(dict(told))
    return Call(method, f"/v3/admin/bridge{end}", body)


def _task(method: str, task_id: str | UUID, folder: str = "/v3/tasks", end: str = "") -> Call:
    return Call(method, f"{folder}/{_uuid('taskId', 'task id', task_id)}{end}")


def _uuid(field: str, what: str, text: str | UUID) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        wrong = [(field, "is not a UUID")]
        raise InvalidParameters(f"{text!r} is no {what}: it is a UUID.", None, wrong) from None


def blob(method: str, blob_id: str | UUID, end: str = "") -> Call:
    """Look at a blob, or drop it."""
    return Call(method, f"{BLOBS}/{_uuid('blobId', 'blob id', blob_id)}{end}")


def registration(email: str, password: str, name: str) -> Call:
    """Make an account. A repeat would find the address taken."""
    body = _json({"email": email, "password": password, "name": name})
    return Call("POST", "/auth/register", body, private=False, repeatable=False)


def sign_in(email: str, password: str) -> Call:
    """Open a session."""
    body = _json({"email": email, "password": password})
    return Call("POST", "/auth/login", body, private=False)


def refreshment(refresh_token: str) -> Call:
    """Open another session. A repeat would look like a thief, and end them all."""
    body = _json({"refreshToken": refresh_token})
    return Call("POST", "/auth/refresh", body, private=False, repeatable=False)


def sign_out(refresh_token: str | None) -> Call:
    """End a session and what could renew it."""
    return Call("POST", "/auth/logout", _json({"refreshToken": refresh_token}))


def joining(registration: Mapping[str, Any]) -> Call:
    """Register an external agent; a repeat replaces it by itself."""
    return Call("POST", "/v3/agents/register", _json(dict(registration)))


def parting(name: str) -> Call:
    """Remove an external agent. A repeat would be told that there is none."""
    return Call("DELETE", f"/v3/agents/{quote(name, safe='')}", repeatable=False)


AGENTS = Call("GET", "/v3/agents")
CATALOGUE = Call("GET", "/v3/catalog")
TREE = Call("GET", "/v3/tree")
ME = Call("GET", "/auth/me")
HEALTH = Call("GET", "/health", timeout=ANSWER, private=False)
