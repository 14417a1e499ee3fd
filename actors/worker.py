"""A host: one process that runs the workers of several agents. Crash-only, stateless."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from actors.acts import Probes
from actors.hosting import HostSpec
from actors.intake import parse
from actors.outbox import Line
from actors.pipelines import execution
from actors.reach import AttemptReach
from actors.response import failure
from cartrita.answers import Answers
from cartrita.catalog import Catalog
from cartrita.channel.address import Address
from cartrita.channel.server import Call, ChannelServer
from cartrita.clock import Clock, SystemClock
from cartrita.context import Context, Usage
from cartrita.cost.budget import CACHE_HIT
from cartrita.cost.price import NANO
from cartrita.declare import Agent, Params, TaskSpec
from cartrita.errors import (
    AgentFailed,
    CartritaError,
    InternalFailure,
    InvalidParameters,
    NotFound,
)
from cartrita.journal import TaskRecord
from cartrita.policy.chain import Job, Proceed, chain, concerning
from cartrita.privacy.masking import DEFAULT, Masker, Rules
from cartrita.protocol.task import NO_PREFERENCES, Budget, Preferences, TaskStatus
from cartrita.protocol.wire import field_errors
from cartrita.services import Services
from cartrita.spill import MARK, Spill, reference_in
from cartrita.stream import last_of
from cartrita.telemetry import genai
from cartrita.telemetry.log import about, get_logger, heed, level
from cartrita.telemetry.metrics import resident
from cartrita.telemetry.span import Sampling
from cartrita.threads import Threads
from cartrita.trail import within_attempt

log = get_logger(__name__)

_COMPLETED = TaskStatus.COMPLETED.value

UNTOUCHED = (0.0, 0.0, 0)
"""The money of an attempt whose budgets are empty, and before which nothing was spent."""

LAST_WORDS = 0.5
"""Seconds, past the deadline if need be, for what an attempt said to reach its supervisor."""


@dataclass(slots=True)
class _Work:
    """A task method bound to its agent, inside the policies."""

    spec: TaskSpec
    run: Proceed
    probes: Probes


class WorkerHost:
    """Runs attempts that its supervisor sends."""

    def __init__(
        self,
        spec: HostSpec,
        catalog: Catalog,
        services: Services,
        clock: Clock | None = None,
        spill: Spill | None = None,
    ) -> None:
        self._spec, self._catalog, self._services = spec, catalog, services
        self._spill = spill
        self._clock = clock or SystemClock()
        self._agents: dict[str, Agent] = {}
        self._work: dict[str, _Work] = {}
        self._threads = Threads(clock=self._clock)
        self._attempts: dict[str, AttemptReach] = {}
        self._left_behind: list[AttemptReach] = []
        self._privacy, self._traced = DEFAULT, False
        self.server = ChannelServer(
            spec.host_id, self, token=spec.token, epoch=spec.epoch, least_epoch=spec.epoch
        )

    async def start(self, address: Address) -> str:
        """Build the agents, listen, and return where."""
        await self.prepare()
        return str(await self.server.start(address))

    async def prepare(self) -> None:
        """Build the agents; from then on `server` may listen.

        Raises:
            ConfigurationInvalid: An agent asks for a port nobody provides.
        """
        self._privacy = await self._services.find(Rules) or DEFAULT
        self._traced = await self._services.find(Sampling) is not None
        answers = await self._keeping()
        for name in self._spec.agents:
            agent = self._catalog.agents[name]
            self._agents[name] = await self._services.build(agent.cls)
            for task in agent.tasks:
                self._work[task.name] = _bind(task, self._agents[name], answers)

    async def _keeping(self) -> Answers | None:
        """Open what keeps answers, where an agent has some that may be kept."""
        specs = (task for name in self._spec.agents for task in self._catalog.agents[name].tasks)
        kept = any(spec.cacheable for spec in specs)
        return await self._services.find(Answers) if kept else None

    async def stop(self) -> None:
        """Stop listening and let the agents' providers go."""
        await self.server.stop()
        self._threads.close()
        await self._services.close()

    async def handle(self, method: str, payload: Any, call: Call) -> Any:
        """Answer the supervisor."""
        if method == "run":
            record = TaskRecord.unpack(payload[0])
            return await self.run(record, payload[1], payload[2], call, *payload[3:])
        if method in ("resume", "settled"):
            return await self._tell(method, *payload)
        if method == "feed":
            return await self._feed(*payload)
        if method == "beat":
            heed(payload)
            return {"stuck": self._stuck(), "memory": resident(), "logLevel": level()}
        if method == "ping":
            return "pong"
        raise InternalFailure(f"A host does not know {method!r}.")

    async def _tell(
        self, method: str, task_id: str, attempt: int, index: int, answer: dict[str, Any]
    ) -> None:
        """Hand an attempt what it asked for."""
        reach = self._reach(task_id, attempt)
        if method == "settled":
            reach.settle(index, answer)
        else:
            reach.resume(index, await self._opened(reach, answer))

    async def _feed(self, task_id: str, kind: str, sequence: int, data: Any) -> None:
        """Put a piece of a stream into the task that reads it, once it has room."""
        await self._reach(task_id).inbox().put(kind, sequence, data)

    def _reach(self, task_id: str, attempt: int | None = None) -> AttemptReach:
        reach = self._attempts.get(task_id)
        if reach is None:
            raise NotFound(f"Task {task_id!r} is not running here.")
        if attempt not in (None, reach.attempt):
            raise NotFound(f"Attempt {attempt} of task {task_id!r} has ended.")
        return reach

    def _stuck(self) -> int:
        """Return how many attempts and threads run on although they were told to end."""
        now = self._clock.monotonic()
        self._left_behind = [reach for reach in self._left_behind if reach.running]
        attempts = (*self._attempts.values(), *self._left_behind)
        return self._threads.stuck() + sum(reach.deaf(now) for reach in attempts)

    async def run(
        self,
        record: TaskRecord,
        attempt: int,
        timeout: float,
        line: Line | None = None,
        money: Sequence[Any] = UNTOUCHED,
    ) -> dict[str, Any]:
        """Run one attempt and return its outcome; a failure is a value, not an exception.

        Args:
            record: The task.
            attempt: Its number.
            timeout: Seconds it has.
            line: Where what it says and calls for goes; without one nobody hears it.
            money: How full the fullest budget above it is; USD and tokens that earlier attempts
                spent.
        """
        started, began = self._clock.monotonic(), self._clock.now()
        work = self._work.get(record.work)
        if work is None:
            error = InternalFailure(f"This host does not run {record.work!r}.")
            return _metered(failure(error), Decimal(0), Context(record.task_id), 0.0)
        reach = AttemptReach(record.task_id, attempt, work.spec, self._threads, line, work.probes)
        context = self._context(record, work.spec, started + timeout, reach, money)
        about(context.trace, record.task_id)
        reach.owner = record.principal.user
        self._enter(reach)
        try:
            outcome = await self._outcome(work, record, context)
            await self._last_words(reach, context)
        finally:
            self._leave(reach)
            context.close()
        seconds, outcome["began"] = self._clock.monotonic() - started, began
        genai.acted(work.spec.agent, seconds, outcome.get("errorCode") or "")
        return await self._lightened(
            record, _metered(outcome, work.spec.cost.usd, context, seconds)
        )

    async def _outcome(self, work: _Work, record: TaskRecord, context: Context) -> dict[str, Any]:
        """Do the work and return what came of it."""
        try:
            params = await self._params(work.spec, record)
            result = await work.run(Job(work.spec, params, context))
            for act in context.after:
                await act()
            return {"status": _COMPLETED, "result": result.to_wire()}
        except asyncio.CancelledError:
            if _cancelled():
                raise  # the supervisor did it and has its own answer
            return failure(AgentFailed("It awaited something that was cancelled."))
        except CartritaError as error:
            return failure(error)
        except Exception as error:
            log.exception("agent_failed", task=record.task_id, type=record.task_type)
            return failure(AgentFailed(f"{type(error).__name__}: {error}"))

    async def _params(self, spec: TaskSpec, record: TaskRecord) -> Params:
        """Read what a task is given; what its parameters only refer to was read by nobody yet."""
        if self._spill is None or reference_in(record.params) is None:
            return _params(spec, record)
        return parse(spec, await self._spill.opened(record.principal.user, record.params))

    async def _lightened(self, record: TaskRecord, outcome: dict[str, Any]) -> dict[str, Any]:
        """Put a large result where large things go, and a reference in its place."""
        result = outcome.get("result")
        if self._spill is None or result is None:
            return outcome
        try:
            return {**outcome, "result": await self._spill.result(record, result)}
        except CartritaError as error:
            told = {key: outcome[key] for key in ("warnings", "metrics")}
            return {**failure(error), **told}

    async def _opened(self, reach: AttemptReach, answer: dict[str, Any]) -> dict[str, Any]:
        """Put what a sub-task's answer refers to in its place."""
        response = answer.get("response") or {}
        if self._spill is None or MARK not in (response.get("result") or ()):
            return answer
        try:
            result = await self._spill.opened(reach.owner, response["result"])
        except CartritaError as error:
            return {"error": error.to_wire()}
        return {"response": {**response, "result": result}}

    def _enter(self, reach: AttemptReach) -> None:
        former = self._attempts.get(reach.task_id)
        if former is not None:  # it was told to end long ago
            self._left_behind.append(former)
        self._attempts[reach.task_id] = reach

    def _leave(self, reach: AttemptReach) -> None:
        reach.close()
        if self._attempts.get(reach.task_id) is reach:
            del self._attempts[reach.task_id]

    async def _last_words(self, reach: AttemptReach, context: Context) -> None:
        """Let what was said go before the outcome, unless nobody wants either any more."""
        if not reach.cancelled and reach.used:
            left = context.deadline - self._clock.monotonic()
            if not await reach.flush(max(left, LAST_WORDS)):
                context.warn("Not everything it said could be shown in time.")
        if reach.cancelled:  # its agent did not hear that, or ended in another way
            raise asyncio.CancelledError

    def _context(
        self,
        record: TaskRecord,
        spec: TaskSpec,
        deadline: float,
        reach: AttemptReach,
        money: Sequence[Any],
    ) -> Context:
        return Context(
            task_id=record.task_id,
            task_type=record.task_type,
            principal=record.principal,
            session_id=record.session_id,
            deadline=deadline,
            repeatable=record.delivery.repeats(safe=(record.carrier or spec).safe),
            attempt=reach.attempt,
            root=record.root,
            trace=within_attempt(record, reach.attempt) if self._traced else record.trace,
            budget=_budget(record, money),
            pressure=money[0],
            preferences=_preferences(record),
            metadata=record.metadata,
            clock=self._clock,
            privacy=Masker(self._privacy),
            reach=reach,
        )


def _bind(spec: TaskSpec, agent: Agent, answers: Answers | None) -> _Work:
    method = getattr(agent, spec.method)

    def work(job: Job) -> Awaitable[Any]:
        said: Awaitable[Any] = method(job.params, job.context)
        return said

    def stream(job: Job) -> Awaitable[Any]:
        return last_of(method(job.params, job.context), spec.result, job.context.say)

    policies = concerning(spec, execution(answers))
    names = agent.spec.probes
    probes = {effect: getattr(agent, names[effect]) for effect in spec.effects if effect in names}
    return _Work(spec, chain(policies, stream if spec.streams else work), probes)


def _params(spec: TaskSpec, record: TaskRecord) -> Params:
    try:
        return spec.params.model_validate(record.params)
    except ValidationError as error:  # the Door has checked: another version of it did
        fields = field_errors(error, "parameters.")
        raise InvalidParameters("The parameters do not fit.", fields=fields) from error


def _metered(
    outcome: dict[str, Any], price: Decimal, context: Context, seconds: float
) -> dict[str, Any]:
    """Add what an attempt took and used."""
    usages, tokens = context.usages, 0
    done = outcome["status"] == _COMPLETED
    usd = price if done and not context.given else Decimal(0)
    for use in usages:
        usd += use.usd
        tokens += use.tokens_in + use.tokens_out
    metrics: dict[str, Any] = {
        "processingTimeMs": round(seconds * 1000, 3),
        "costUsd": float(usd),
        "tokensUsed": tokens,
        "customMetrics": {**context.measures, CACHE_HIT: 1} if context.given else context.measures,
    }
    model = _model_of(outcome.get("result"), usages)
    if model:
        metrics["modelUsed"] = model
    outcome["warnings"], outcome["metrics"] = context.warnings, metrics
    return outcome


def _cancelled() -> bool:
    """Tell whether this attempt itself was cancelled, not only something it awaited."""
    attempt = asyncio.current_task()
    return attempt is not None and attempt.cancelling() > 0


def _budget(record: TaskRecord, money: Sequence[Any]) -> Budget | None:
    """Return what was reserved for it and is left; no attempt may spend what another has."""
    if not (record.reserve_nano or record.reserve_tokens):
        limited = record.max_usd is not None or record.max_tokens is not None
        return Budget(max_usd=record.max_usd, max_tokens=record.max_tokens) if limited else None
    _, usd, tokens = money
    left = Decimal(record.reserve_nano) / NANO - Decimal(str(usd))
    return Budget(
        max_usd=float(max(left, Decimal(0))), max_tokens=max(record.reserve_tokens - tokens, 0)
    )


def _preferences(record: TaskRecord) -> Preferences:
    return Preferences.model_validate(record.preferences) if record.preferences else NO_PREFERENCES


def _model_of(result: dict[str, Any] | None, usages: list[Usage]) -> str | None:
    if usages:
        return usages[-1].model
    model = (result or {}).get("model")
    return model if isinstance(model, str) else None
