"""The way in: parse, admit, route to the shard that owns the task, wait for its end."""

import asyncio
import hashlib
import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from pydantic import ValidationError

from actors.hosting import RouteTable, shard_name
from actors.pipelines import admission
from cartrita.catalog import Catalog
from cartrita.channel.client import Channel, connect
from cartrita.channel.frames import pack
from cartrita.clock import Clock, new_id
from cartrita.context import Context
from cartrita.declare import Params, TaskSpec
from cartrita.errors import (
    AuthenticationFailed,
    CartritaError,
    ChannelLost,
    InvalidParameters,
    NotFound,
    ResourceLimitExceeded,
    ServiceUnavailable,
    StaleEpoch,
    StillRunning,
    TaskTimeout,
)
from cartrita.journal import Stories, TaskRecord, TaskState, fold
from cartrita.policy.chain import Job, chain
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import Delivery, TaskRequest
from cartrita.protocol.wire import field_errors
from cartrita.telemetry.trace import continue_trace

ACCEPT_TIMEOUT = 10.0
"""Seconds a door looks for the shard before it says that nobody can accept the task."""

LATE = 3.0
"""Seconds after its deadline by which a task has certainly been answered for."""

PAUSE = 0.1
MAX_PARAMETERS = 4 * 1024 * 1024
"""Bytes; larger data is passed by reference."""


class Directory(Protocol):
    """Where the supervisors are."""

    async def routes(self) -> RouteTable:
        """Return the current table from the orchestrator.

        Raises:
            ServiceUnavailable: There is none to ask.
        """

    async def locate(self, shard: str) -> str:
        """Ask a supervisor itself for its address, which works without an orchestrator."""


class Door:
    """Lets tasks in. Lives in every gateway replica; holds nothing that matters.

    Args:
        catalog: What tasks there are.
        directory: Where the supervisors are.
        stories: Reads tasks back.
        name: Who we are on the channels.
        max_parameters: Bytes that a task's parameters may take.
    """

    def __init__(
        self,
        catalog: Catalog,
        directory: Directory,
        stories: Stories,
        clock: Clock,
        name: str,
        max_parameters: int = MAX_PARAMETERS,
    ) -> None:
        self.catalog, self._max_parameters = catalog, max_parameters
        self._directory, self._stories, self._clock, self._name = directory, stories, clock, name
        self._admit = chain(admission(), self._admitted)
        self._routes: RouteTable | None = None
        self._channels: dict[str, Channel] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def submit(
        self,
        request: TaskRequest,
        who: Principal,
        *,
        wait: bool,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
    ) -> dict[str, Any]:
        """Accept a task and return its response, or its id and status when not waiting.

        Raises:
            CartritaError: The task was not accepted; the class says why.
        """
        spec = self.catalog.task(request.task_type)
        record = self._record(request, spec, who, idempotency_key, continue_trace(traceparent))
        await self._admit(Job(spec, self._parse(spec, request), self._context(record)))
        shard = await self._shard(spec, who)
        return await self._ask(shard, record, wait=wait)

    async def _admitted(self, job: Job) -> None:
        """Nothing is left to refuse it."""

    def _parse(self, spec: TaskSpec, request: TaskRequest) -> Any:
        try:
            return _strictly(spec.params, request.parameters)
        except ValidationError as error:
            fields = field_errors(error, "parameters.")
            names = ", ".join(field.field for field in fields[:5])
            raise InvalidParameters(
                f"{spec.name!r} does not take these parameters: see {names}.", fields=fields
            ) from error

    def _record(
        self, request: TaskRequest, spec: TaskSpec, who: Principal, key: str | None, trace: str
    ) -> TaskRecord:
        now = self._clock.now()
        budget = request.budget
        packed = pack([spec.name, request.parameters])
        if len(packed) > self._max_parameters:
            raise ResourceLimitExceeded(
                f"The parameters take {len(packed)} bytes; the limit is {self._max_parameters}."
            )
        tenant = request.workspace_id or who.tenant
        if tenant != who.tenant and not who.admin:
            raise NotFound(
                f"There is no workspace {tenant!r} of yours.",
                fields=[("workspaceId", "not a workspace of yours")],
            )
        preferences = request.preferences
        return TaskRecord(
            task_id=str(request.task_id) if request.task_id else new_id(),
            task_type=spec.name,
            params=request.parameters,
            principal=who if tenant == who.tenant else _in(who, tenant),
            digest=hashlib.blake2b(packed, digest_size=16).digest(),
            accepted_at=now,
            deadline=self._deadline(request, spec, now),
            priority=request.priority,
            delivery=request.delivery or _default_delivery(spec),
            max_attempts=spec.max_attempts,
            session_id=request.session_id,
            preferred_agent=request.preferred_agent,
            preferences=preferences.model_dump() if preferences else {},
            metadata=dict(request.metadata),
            trace=trace,
            idempotency_key=key,
            reserve_nano=spec.cost.max_nano,
            reserve_tokens=spec.cost.max_tokens,
            max_usd=budget.max_usd if budget else None,
            max_tokens=budget.max_tokens if budget else None,
        )

    def _deadline(self, request: TaskRequest, spec: TaskSpec, now: float) -> float:
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
                "DEADLINE_IMPOSSIBLE",
                [("deadline", "is in the past")],
            )
        return deadline

    def _context(self, record: TaskRecord) -> Context:
        return Context(
            record.task_id,
            record.task_type,
            record.principal,
            clock=self._clock,
            trace=record.trace,
        )

    async def _shard(self, spec: TaskSpec, who: Principal) -> str:
        count = (await self._table()).teams.get(spec.team, 0)
        if count == 0:
            raise ServiceUnavailable(f"The team {spec.team!r} is not running.", retry_after=2)
        return shard_name(spec.team, zlib.crc32(who.user.encode()) % count)

    async def _ask(self, shard: str, record: TaskRecord, *, wait: bool) -> dict[str, Any]:
        """Submit to a shard; when it goes away, find it again and ask with the same id.

        That is safe because the id was minted here: the shard that was restarted knows whether
        it had accepted this task.
        """
        payload = [record.pack(), wait]
        now = self._clock.monotonic()
        end = now + record.deadline - self._clock.now() + LATE
        until, asked = min(end, now + ACCEPT_TIMEOUT), False
        while True:
            why: CartritaError
            try:
                channel = await self._channel(shard)
            except ChannelLost as error:
                why = error
            else:
                until = end if wait else until  # it may be at work already
                try:
                    left = until - self._clock.monotonic()
                    answer: dict[str, Any] = await channel.request(
                        "submit", payload, left, record.trace
                    )
                except (ChannelLost, TaskTimeout, ServiceUnavailable) as error:
                    if self._refused(shard, error, asked=asked):
                        raise
                    why, asked = error, True
                else:
                    return answer
            if self._clock.monotonic() >= until:
                raise ServiceUnavailable(
                    f"{shard!r} does not answer. Ask again with taskId {record.task_id!r}: "
                    "a repeat is the same task.",
                    retry_after=2,
                ) from why
            await asyncio.sleep(PAUSE)

    def _refused(self, shard: str, error: CartritaError, *, asked: bool) -> bool:
        """Tell whether the task was certainly not accepted, now or when it was asked before."""
        if isinstance(error, StaleEpoch):
            self._mislay(shard)
            return False
        if isinstance(error, ServiceUnavailable):
            return isinstance(error, StillRunning) or not asked
        return False

    async def get(self, task_id: str, who: Principal, wait: float = 0.0) -> dict[str, Any]:
        """Return a task's response, or its status so far; waits up to `wait` seconds for the end.

        Raises:
            NotFound: There is no such task, or it is somebody else's.
        """
        state = await self._state(task_id, who)
        if state.response is None and wait > 0:
            # The story is the truth, whether or not the shard can be asked.
            with suppress(CartritaError):
                await self._call(state.shard, "await", task_id, wait)
            state = await self._state(task_id, who)
        if state.response is not None:
            return state.response
        return {"taskId": task_id, "status": state.status.value, "metrics": {}, "warnings": []}

    async def cancel(self, task_id: str, who: Principal) -> bool:
        """Cancel a task; False when it had ended already."""
        state = await self._state(task_id, who)
        if state.status.terminal:
            return False
        return bool(await self._call(state.shard, "cancel", task_id, ACCEPT_TIMEOUT))

    async def _state(self, task_id: str, who: Principal) -> TaskState:
        state = fold(await self._stories.story(task_id))
        if state is None or (state.record.principal.user != who.user and not who.admin):
            raise NotFound(f"There is no task {task_id!r} of yours.")
        return state

    async def supervisors(self) -> list[dict[str, Any]]:
        """Return every shard's own account of itself; one that does not answer is `down`."""
        shards = sorted((await self._table()).addresses)
        return list(await asyncio.gather(*(self._status(shard) for shard in shards)))

    async def _status(self, shard: str) -> dict[str, Any]:
        try:
            status: dict[str, Any] = await self._call(shard, "status", None, 2.0)
        except ServiceUnavailable:
            return {"id": shard, "state": "down", "hosts": []}
        return status

    async def _call(self, shard: str, method: str, payload: Any, timeout: float) -> Any:
        """Ask a shard something that may be asked again.

        Raises:
            ServiceUnavailable: It did not answer.
        """
        try:
            channel = await self._channel(shard)
            return await channel.request(method, payload, timeout)
        except (ChannelLost, TaskTimeout) as error:
            raise ServiceUnavailable(f"{shard!r} does not answer.", retry_after=2) from error

    async def _table(self) -> RouteTable:
        if self._routes is None:
            self._routes = await self._directory.routes()
        return self._routes

    async def _channel(self, shard: str) -> Channel:
        """Return an open channel to a shard, connecting when there is none."""
        channel = self._channels.get(shard)
        if channel and not channel.closed.done():
            return channel
        async with self._locks.setdefault(shard, asyncio.Lock()):
            channel = self._channels.get(shard)
            if channel is None or channel.closed.done():
                channel = await self._connect(shard)
                self._channels[shard] = channel
            return channel

    async def _connect(self, shard: str) -> Channel:
        """Connect to where the shard was last seen, else to where it says it is.

        Raises:
            ChannelLost: It cannot be reached now.
        """
        try:
            table = await self._table()
            known = table.addresses.get(shard)
            if known:
                with suppress(ChannelLost):
                    return await connect(known, token=table.token, peer=self._name)
            address = await self._directory.locate(shard)
            self._remember(shard, address)
            return await connect(address, token=table.token, peer=self._name)
        except AuthenticationFailed as error:  # the tree was started anew, with another token
            self._routes = None
            raise ChannelLost(f"{shard!r} does not know us any more.") from error
        except (ServiceUnavailable, TaskTimeout) as error:
            raise ChannelLost(f"{shard!r} cannot be found: {error}") from error

    def _remember(self, shard: str, address: str) -> None:
        """Note where a shard listens; an empty address says that it must be asked for."""
        if self._routes:
            addresses: Mapping[str, str] = {**self._routes.addresses, shard: address}
            self._routes = replace(self._routes, addresses=addresses)

    def _mislay(self, shard: str) -> None:
        """Look a shard up anew: who answers for it is not its owner any more."""
        self._forget(shard)
        self._remember(shard, "")

    def _forget(self, shard: str) -> None:
        channel = self._channels.pop(shard, None)
        if channel:
            channel.close()

    async def follow(self, period: float = 2.0) -> None:
        """Keep the route table fresh, for as long as the door is open."""
        while True:
            # Without an orchestrator the last table holds; a shard that moved is asked itself.
            with suppress(CartritaError):
                self._routes = await self._directory.routes()
            await asyncio.sleep(period)

    def close(self) -> None:
        """Close every channel."""
        for shard in list(self._channels):
            self._forget(shard)


def _default_delivery(spec: TaskSpec) -> Delivery:
    return Delivery.AT_LEAST_ONCE if spec.idempotent else Delivery.AT_MOST_ONCE


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


def _in(who: Principal, tenant: str) -> Principal:
    return Principal(who.user, tenant, who.role, who.scopes)
