"""How a request becomes the record of a task."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from actors.family import SubTask
from cartrita.channel.frames import pack
from cartrita.clock import Clock, derived_id, new_id
from cartrita.cost.fee import Fee
from cartrita.cost.price import Price, nano
from cartrita.declare import Params, TaskSpec
from cartrita.errors import (
    InvalidParameters,
    NotFound,
    Reason,
    ResourceLimitExceeded,
    TaskTimeout,
)
from cartrita.journal import TaskRecord
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskRequest
from cartrita.protocol.wire import field_errors
from cartrita.spill import plainly
from cartrita.telemetry.trace import continue_trace

MAX_PARAMETERS = 4 * 1024 * 1024
"""Bytes; larger data is passed by reference."""

MAX_DEPTH = 8
"""Sub-tasks of sub-tasks, at most so many deep: an agent that calls itself ends here."""

_HIGHEST = 10

Resubmit = Callable[[TaskRecord], Awaitable[dict[str, Any]]]
"""Validates a task's parameters, admits it and answers `{"taskId", "status"}`.

Of two records with one id the second is the first one again, or an `IdempotencyMismatch`.
"""


class Intake:
    """Makes records.

    Args:
        clock: For the deadline.
        max_parameters: Bytes that a task's parameters may take.
    """

    def __init__(self, clock: Clock, max_parameters: int = MAX_PARAMETERS) -> None:
        self._clock, self._max_parameters = clock, max_parameters

    def record(
        self, request: TaskRequest, spec: TaskSpec, who: Principal, key: str | None, trace: str
    ) -> TaskRecord:
        """Return the record of a request.

        Raises:
            CartritaError: It cannot become a task; the class says why.
        """
        now = self._clock.now()
        budget, preferences = request.budget, request.preferences
        task_id = str(request.task_id) if request.task_id else new_id()
        max_usd = budget.max_usd if budget else None
        max_tokens = budget.max_tokens if budget else None
        return TaskRecord(
            task_id=task_id,
            task_type=spec.name,
            params=request.parameters,
            principal=within(request.workspace_id, who),
            digest=self._digest(spec, request.parameters),
            accepted_at=now,
            deadline=_deadline(request, spec, now),
            priority=request.priority,
            delivery=request.delivery or spec.delivery,
            max_attempts=spec.max_attempts,
            session_id=request.session_id,
            preferred_agent=request.preferred_agent,
            preferences=preferences.model_dump() if preferences else {},
            metadata=dict(request.metadata),
            trace=trace,
            idempotency_key=key,
            reserve_nano=_worst_nano(spec.cost, max_usd),
            reserve_tokens=_worst_tokens(spec.cost, max_tokens),
            max_usd=max_usd,
            max_tokens=max_tokens,
            carrier=spec.carrier,
            tree=None if max_usd is None and max_tokens is None else task_id,
        )

    def child(self, parent: TaskRecord, ask: SubTask, spec: TaskSpec) -> TaskRecord:
        """Return the record of a sub-task: its parent's identity, session, trace and ceiling.

        Its id follows from the parent's and the call's number, so a parent that runs again
        finds what its children have done. What tries a parent again as another task has other
        children, which share the effects of the first.

        Raises:
            ResourceLimitExceeded: It would be too deep.
        """
        if parent.depth >= MAX_DEPTH:
            raise ResourceLimitExceeded(f"Sub-tasks may be {MAX_DEPTH} deep.")
        now = self._clock.now()
        above = min(parent.priority + 1, _HIGHEST)
        salt = f"{ask.index}/{spec.name}"
        return TaskRecord(
            task_id=derived_id(parent.task_id, salt),
            task_type=spec.name,
            params=ask.params,
            principal=parent.principal,
            digest=self._digest(spec, ask.params),
            accepted_at=now,
            deadline=min(parent.deadline, now + (ask.timeout or spec.timeout)),
            priority=above if ask.priority is None else ask.priority,
            delivery=spec.delivery,
            max_attempts=spec.max_attempts,
            session_id=parent.session_id,
            preferences=parent.preferences,
            metadata=parent.metadata,
            trace=ask.trace or parent.trace,
            reserve_nano=_worst_nano(spec.cost, parent.max_usd),
            reserve_tokens=_worst_tokens(spec.cost, parent.max_tokens),
            max_usd=parent.max_usd,
            max_tokens=parent.max_tokens,
            parent=parent.task_id,
            depth=parent.depth + 1,
            root=derived_id(parent.root, salt) if parent.root else None,
            carrier=spec.carrier,
            tree=parent.tree,
        )

    def _digest(self, spec: TaskSpec, parameters: dict[str, Any]) -> bytes:
        packed = pack([spec.name, plainly(parameters)])
        if len(packed) > self._max_parameters:
            raise ResourceLimitExceeded(
                f"The parameters take {len(packed)} bytes; the limit is {self._max_parameters}."
            )
        return hashlib.blake2b(packed, digest_size=16).digest()


def with_fee(
    record: TaskRecord, spec: TaskSpec, params: Params | None, fee: Fee | None
) -> TaskRecord:
    """Return a record with room for the vectors of its texts, where those are paid.

    Args:
        record: As it was made.
        spec: Its type.
        params: What it is given; None where that is only referred to.
        fee: What an embedder costs; None where none does.
    """
    if fee is None or spec.cost.embeds is None:
        return record
    cost, (usd, tokens) = spec.cost, fee.reserve(spec.cost, params)
    whole = Price(cost.usd, cost.max_tokens + tokens, cost.max_usd + usd)
    return replace(
        record,
        reserve_nano=_worst_nano(whole, record.max_usd),
        reserve_tokens=_worst_tokens(whole, record.max_tokens),
        packed=b"",
    )


def parse(spec: TaskSpec, parameters: dict[str, Any]) -> Params:
    """Read parameters as a task type declares them.

    Raises:
        InvalidParameters: They do not fit; the message names the fields.
    """
    try:
        return _strictly(spec.params, parameters)
    except ValidationError as error:
        fields = field_errors(error, "parameters.")
        names = ", ".join(field.field for field in fields[:5])
        raise InvalidParameters(
            f"{spec.name!r} does not take these parameters: see {names}.", fields=fields
        ) from error


def _strictly(model: type[Params], values: dict[str, Any]) -> Params:
    """Validate without conversions, except from what JSON has no type for, such as dates."""
    try:
        return model.model_validate(values, strict=True)
    except ValidationError as error:
        refusal = error
    try:
        text = json.dumps(values)
    except TypeError:  # it holds bytes, which MessagePack has and JSON has not
        raise refusal from None
    return model.model_validate_json(text, strict=True)


def _worst_nano(cost: Price, max_usd: float | None) -> int:
    """Return what is reserved of the budgets; a ceiling shortens what is metered, no price."""
    if max_usd is None:
        return cost.max_nano
    return min(cost.max_nano, max(nano(max_usd), nano(cost.usd)))


def _worst_tokens(cost: Price, max_tokens: int | None) -> int:
    return cost.max_tokens if max_tokens is None else min(cost.max_tokens, max_tokens)


def again(record: TaskRecord, now: float, who: Principal | None = None) -> TaskRecord:
    """Return the task that tries a record again, alone and with as much time as it had.

    Its id follows from the record's, so that there is one, whoever asks how often.

    Args:
        record: What was tried.
        now: In Unix seconds.
        who: Whose it is, if not as it was.
    """
    task_id = derived_id(record.task_id, "retry")
    return replace(
        record,
        task_id=task_id,
        principal=who or record.principal,
        accepted_at=now,
        deadline=now + record.deadline - record.accepted_at,
        trace=continue_trace(None),
        idempotency_key=None,
        parent=None,
        depth=0,
        retry_of=record.task_id,
        root=record.root or record.task_id,
        tree=task_id if record.tree else None,
        packed=b"",
    )


def within(workspace: str | None, who: Principal) -> Principal:
    """Return who asks in a workspace.

    Raises:
        NotFound: It is none of theirs.
    """
    tenant = workspace or who.tenant
    if tenant == who.tenant:
        return who
    if not who.admin:
        raise NotFound(
            f"There is no workspace {tenant!r} of yours.",
            fields=[("workspaceId", "not a workspace of yours")],
        )
    return Principal(who.user, tenant, who.role, who.scopes)


def _deadline(request: TaskRequest, spec: TaskSpec, now: float) -> float:
    timeout = request.timeout / 1000 if request.timeout else spec.timeout
    deadline = now + timeout
    if request.deadline:
        asked = request.deadline
        if asked.tzinfo is None:
            raise InvalidParameters(
                "A deadline needs a time zone.", fields=[("deadline", "needs a time zone")]
            )
        deadline = min(deadline, asked.timestamp())
    if deadline <= now:
        raise TaskTimeout(
            "The deadline is past already.",
            Reason.DEADLINE_IMPOSSIBLE,
            [("deadline", "is in the past")],
        )
    return deadline
