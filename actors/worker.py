"""A host: one process that runs the workers of several agents. Crash-only, stateless."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from actors.hosting import HostSpec
from actors.pipelines import execution
from actors.response import failure
from cartrita.catalog import Catalog
from cartrita.channel.address import Address
from cartrita.channel.server import Call, ChannelServer
from cartrita.clock import Clock, SystemClock
from cartrita.context import Context, Usage
from cartrita.declare import Agent, TaskSpec
from cartrita.errors import (
    AgentFailed,
    CartritaError,
    InternalFailure,
    InvalidParameters,
)
from cartrita.journal import TaskRecord
from cartrita.policy.chain import Job, chain
from cartrita.protocol.task import Budget, Preferences, TaskStatus
from cartrita.protocol.wire import field_errors
from cartrita.services import Services
from cartrita.telemetry.log import get_logger

log = get_logger(__name__)

_NONE = Preferences()


@dataclass(slots=True)
class _Work:
    """A task method bound to its agent, inside the policies."""

    spec: TaskSpec
    run: Any


class WorkerHost:
    """Runs attempts that its supervisor sends."""

    def __init__(
        self, spec: HostSpec, catalog: Catalog, services: Services, clock: Clock | None = None
    ) -> None:
        self._spec, self._catalog, self._services = spec, catalog, services
        self._clock = clock or SystemClock()
        self._agents: dict[str, Agent] = {}
        self._work: dict[str, _Work] = {}
        self._server = ChannelServer(
            spec.host_id, self, token=spec.token, epoch=spec.epoch, least_epoch=spec.epoch
        )

    async def start(self, address: Address) -> str:
        """Build the agents, listen, and return where.

        Raises:
            ConfigurationInvalid: An agent asks for a port nobody provides.
        """
        for name in self._spec.agents:
            agent = self._catalog.agents[name]
            self._agents[name] = await self._services.build(agent.cls)
            for task in agent.tasks:
                self._work[task.name] = self._bind(task, self._agents[name])
        return str(await self._server.start(address))

    def _bind(self, spec: TaskSpec, agent: Agent) -> _Work:
        method = getattr(agent, spec.method)

        async def work(job: Job) -> Any:
            return await method(job.params, job.context)

        return _Work(spec, chain(execution(), work))

    async def stop(self) -> None:
        """Stop listening and let the agents' providers go."""
        await self._server.stop()
        await self._services.close()

    async def handle(self, method: str, payload: Any, call: Call) -> Any:
        """Answer the supervisor."""
        if method == "run":
            return await self.run(TaskRecord.unpack(payload[0]), payload[1], payload[2])
        if method == "ping":
            return "pong"
        raise InternalFailure(f"A host does not know {method!r}.")

    async def run(self, record: TaskRecord, attempt: int, timeout: float) -> dict[str, Any]:
        """Run one attempt and return its outcome; a failure is a value, not an exception."""
        started = self._clock.monotonic()
        context = self._context(record, attempt, started + timeout)
        outcome: dict[str, Any]
        try:
            result = await self._attempt(record, context)
            outcome = {"status": TaskStatus.COMPLETED.value, "result": result}
        except asyncio.CancelledError:
            if _cancelled():
                raise  # the supervisor did it and has its own answer
            outcome = failure(AgentFailed("It awaited something that was cancelled."))
        except CartritaError as error:
            outcome = failure(error)
        except Exception as error:
            log.exception("agent_failed", task=record.task_id, type=record.task_type)
            outcome = failure(AgentFailed(f"{type(error).__name__}: {error}"))
        return self._metered(outcome, record, context, self._clock.monotonic() - started)

    async def _attempt(self, record: TaskRecord, context: Context) -> dict[str, Any]:
        work = self._work.get(record.task_type)
        if work is None:
            raise InternalFailure(f"This host does not run {record.task_type!r}.")
        try:
            params = work.spec.params.model_validate(record.params)
        except ValidationError as error:  # the Door has checked: another version of it did
            fields = field_errors(error, "parameters.")
            raise InvalidParameters("The parameters do not fit.", fields=fields) from error
        result = await work.run(Job(work.spec, params, context))
        wire: dict[str, Any] = result.to_wire()
        return wire

    def _context(self, record: TaskRecord, attempt: int, deadline: float) -> Context:
        return Context(
            task_id=record.task_id,
            task_type=record.task_type,
            principal=record.principal,
            session_id=record.session_id,
            deadline=deadline,
            attempt=attempt,
            trace=record.trace,
            budget=_budget(record),
            preferences=_preferences(record),
            metadata=record.metadata,
            clock=self._clock,
        )

    def _metered(
        self, outcome: dict[str, Any], record: TaskRecord, context: Context, seconds: float
    ) -> dict[str, Any]:
        """Add what the attempt took and used."""
        spec = self._work[record.task_type].spec if record.task_type in self._work else None
        completed = outcome["status"] == TaskStatus.COMPLETED
        fixed = spec.cost.usd if spec and completed else Decimal(0)
        usages = context.usages
        outcome["warnings"] = context.warnings
        outcome["metrics"] = {
            "processingTimeMs": round(seconds * 1000, 3),
            "costUsd": float(fixed + sum((use.usd for use in usages), Decimal(0))),
            "tokensUsed": sum(use.tokens_in + use.tokens_out for use in usages),
            "customMetrics": context.measures,
        }
        model = _model_of(outcome.get("result"), usages)
        if model:
            outcome["metrics"]["modelUsed"] = model
        return outcome


def _cancelled() -> bool:
    """Tell whether this attempt itself was cancelled, not only something it awaited."""
    attempt = asyncio.current_task()
    return attempt is not None and attempt.cancelling() > 0


def _budget(record: TaskRecord) -> Budget | None:
    if record.max_usd is None and record.max_tokens is None:
        return None
    return Budget(max_usd=record.max_usd, max_tokens=record.max_tokens)


def _preferences(record: TaskRecord) -> Preferences:
    return Preferences.model_validate(record.preferences) if record.preferences else _NONE


def _model_of(result: dict[str, Any] | None, usages: list[Usage]) -> str | None:
    if usages:
        return usages[-1].model
    model = (result or {}).get("model")
    return model if isinstance(model, str) else None
