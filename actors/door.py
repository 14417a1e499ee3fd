"""The way in: parse, admit, route to the shard that owns the task, wait for its end."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any, Literal

from actors.asking import ACCEPT_TIMEOUT, LATE, PAUSE, Asking
from actors.bulk import Answer, Bulk
from actors.family import Heard, SubTask
from actors.follow import Follower
from actors.intake import MAX_PARAMETERS, Intake, parse, with_fee
from actors.pipelines import admission
from actors.response import end_type, remains
from actors.routes import Directory, Routes
from actors.slot import Connect
from cartrita.catalog import Catalog
from cartrita.channel.client import connect as connect_channel
from cartrita.clock import Clock, iso
from cartrita.context import Context
from cartrita.cost.fee import Fee
from cartrita.declare import Params, TaskSpec
from cartrita.errors import (
    CartritaError,
    ConfigurationInvalid,
    NotFound,
    ServiceUnavailable,
)
from cartrita.journal import END_STEP, Remnant, Stories, TaskRecord, TaskState, fold
from cartrita.policy.chain import Job, chain
from cartrita.privacy.masking import DEFAULT, Rules
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskRequest, TaskStatus
from cartrita.rate import Limiter
from cartrita.roster import Roster
from cartrita.spill import Spill, reference_in
from cartrita.story import Entry, step_of, to_wire
from cartrita.telemetry.trace import continue_trace, trace_id

Piece = Literal["start", "data", "end"]


class Door:
    """Lets tasks in. Lives in every gateway replica; holds nothing that matters.

    Args:
        catalog: What tasks there are.
        directory: Where the supervisors are.
        stories: Reads tasks back.
        name: Who we are on the channels.
        max_parameters: Bytes that a task's parameters may take.
        limiter: Counts the tasks that clients ask for; sub-tasks are nobody's requests.
        spill: Where large parameters go; without it they travel with their tasks.
        roster: Knows the tasks of external agents, too.
        privacy: Whether tasks with personal data are taken in.
        fee: What an embedder costs; None where none does.
    """

    def __init__(  # noqa: PLR0913 - each is a separate collaborator
        self,
        catalog: Catalog,
        directory: Directory,
        stories: Stories,
        clock: Clock,
        name: str,
        *,
        max_parameters: int = MAX_PARAMETERS,
        connect: Connect = connect_channel,
        limiter: Limiter | None = None,
        spill: Spill | None = None,
        roster: Roster | None = None,
        privacy: Rules = DEFAULT,
        fee: Fee | None = None,
    ) -> None:
        self._spill, self._roster, self._fee = spill, roster, fee
        self.catalog, self.routes = catalog, Routes(directory, name, connect)
        self._stories, self._clock = stories, clock
        self._intake = Intake(clock, max_parameters)
        self._asking = Asking(catalog, self.routes, stories, clock, self._forgo)
        self._bulk = Bulk(self.routes, self._asking, clock)
        self._admit = chain(admission(limiter, privacy), self._admitted)
        self._admit_child = chain(admission(privacy=privacy), self._admitted)

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
        spec = await self._spec(request.task_type)
        trace = continue_trace(traceparent)
        return await self.enter(
            self._intake.record(request, spec, who, idempotency_key, trace), wait=wait
        )

    async def enter(self, record: TaskRecord, *, wait: bool) -> dict[str, Any]:
        """Accept a record: check its parameters, let the policies look, ask the shard."""
        record = await self._ready(record)
        return await self._followed(record, await self._asking.ask(record, wait=wait), wait=wait)

    async def submit_many(
        self,
        asked: Sequence[tuple[TaskRequest, str | None]],
        who: Principal,
        *,
        wait: bool,
        traceparent: str | None = None,
    ) -> list[Answer]:
        """Accept many tasks in few messages; each is accepted or refused for itself.

        Args:
            asked: Requests, with their idempotency keys.
            who: Whose tasks they are.
            wait: Whether for their ends.
            traceparent: Of the trace they belong to.

        Returns:
            What `submit` returns, or the error that it raises, for each in order.
        """
        answers: dict[int, Answer] = {}
        shards: dict[str, dict[int, TaskRecord]] = {}
        trace = continue_trace(traceparent)
        for place, (request, key) in enumerate(asked):
            try:
                spec = await self._spec(request.task_type)
                made = self._intake.record(request, spec, who, key, trace)
                record = await self._ready(made)
                shards.setdefault(await self._asking.shard_of(record), {})[place] = record
            except CartritaError as error:
                answers[place] = error
        work = (self._together(shard, records, wait=wait) for shard, records in shards.items())
        for found in await asyncio.gather(*work):
            answers |= found
        return [answers[place] for place in range(len(asked))]

    async def _together(
        self, shard: str, records: dict[int, TaskRecord], *, wait: bool
    ) -> dict[int, Answer]:
        """Hand records in to one shard; returns what became of each, by its place."""
        found = await self._bulk.ask(shard, [*records.values()], wait=wait)
        answers = dict(zip(records, found, strict=True))
        for place, answer in answers.items():
            if isinstance(answer, dict):
                try:
                    answers[place] = await self._followed(records[place], answer, wait=wait)
                except CartritaError as error:
                    answers[place] = error
        return answers

    async def _ready(self, record: TaskRecord) -> TaskRecord:
        """Check a record's parameters, let the policies look, put what is large elsewhere."""
        inner = record.parent is not None or record.retry_of is not None
        spec = await self._spec(record.task_type, inner=inner)
        context = Context(
            record.task_id,
            record.task_type,
            record.principal,
            clock=self._clock,
            trace=record.trace,
        )
        admit = self._admit if record.parent is None else self._admit_child
        params = await self._parsed(spec, record)
        await admit(Job(spec, params, context))
        known = None if reference_in(record.params) else params
        record = with_fee(record, spec, known, self._fee)
        return await self._spill.lighten(record) if self._spill else record

    async def _followed(
        self, record: TaskRecord, answer: dict[str, Any], *, wait: bool
    ) -> dict[str, Any]:
        """Return the answer for a record that was taken, or wait for it elsewhere."""
        if answer["taskId"] != record.task_id:  # its key was known
            await self._forgo(record)
        while wait and not TaskStatus(answer["status"]).terminal:  # its shard is away, or another's
            left = record.deadline - self._clock.now() + LATE
            if left <= 0:
                break
            answer = await self.get(record.task_id, record.principal, left)
        return answer

    async def _spec(self, task_type: str, *, inner: bool = False) -> TaskSpec:
        if task_type in self.catalog.names or self._roster is None:
            return self.catalog.task(task_type, inner=inner)
        return await self._roster.task(task_type)

    async def _parsed(self, spec: TaskSpec, record: TaskRecord) -> Params:
        """Read parameters; those that are only referred to are read by the task's host."""
        if self._spill and reference_in(record.params):
            return spec.params.model_construct()
        if spec.carrier:  # a schema of somebody else's: nobody knows what checking it takes
            return await asyncio.to_thread(parse, spec, record.params)
        return parse(spec, record.params)

    async def _forgo(self, record: TaskRecord) -> None:
        """Keep nothing of a task that was certainly not accepted."""
        if self._spill:
            await self._spill.forgo(record)

    async def resubmit(self, record: TaskRecord) -> dict[str, Any]:
        """Accept a record that was made before, without waiting for its end."""
        return await self.enter(record, wait=False)

    async def _admitted(self, job: Job) -> None:
        """Nothing is left to refuse it."""

    async def call(
        self, parent: TaskRecord, ask: SubTask, heard: Heard | None = None
    ) -> dict[str, Any]:
        """Run a sub-task as its parent's principal and return its response."""
        spec = await self._spec(ask.task_type, inner=True)
        record = self._intake.child(parent, ask, spec)
        if heard is None:
            return await self.enter(record, wait=True)
        await self.enter(record, wait=False)
        await self._overhear(record, heard)
        return await self.get(record.task_id, record.principal, LATE)

    async def _overhear(self, record: TaskRecord, heard: Heard) -> None:
        """Pass on the text a task writes, to its end.

        What it writes when it runs anew is not passed on: the reader would have it twice.
        """
        first = True
        async with aclosing(self.events(record.task_id, record.principal)) as events:
            async for event in events:
                first = first and event["type"] != "reset"
                if first and event["type"] == "token":
                    heard(event["data"])

    async def cancel_child(self, parent: TaskRecord, ask: SubTask) -> None:
        """Cancel a sub-task that may not even be accepted yet."""
        spec = await self._spec(ask.task_type, inner=True)
        child = self._intake.child(parent, ask, spec)
        shard = await self.routes.shard_of(spec.team, child.principal.user)
        if not await self.routes.call(shard, "cancel", child.task_id, ACCEPT_TIMEOUT):
            await self.cancel(child.task_id, child.principal)  # another shard may have it

    async def get(self, task_id: str, who: Principal, wait: float = 0.0) -> dict[str, Any]:
        """Return a task's response, or its status so far; waits up to `wait` seconds for the end.

        Raises:
            NotFound: There is no such task, or it is somebody else's.
        """
        try:
            state = await self.state(task_id, who)
        except NotFound:
            return remains(await self._left(task_id, who))
        end = self._clock.monotonic() + wait
        while state.response is None and (left := end - self._clock.monotonic()) > 0:
            # The story is the truth, whether or not the shard can be asked.
            with suppress(CartritaError):
                await self.routes.call(state.shard, "await", task_id, left)
            state = await self.state(task_id, who)
            if state.response is None:  # its shard is away, or has not taken it up again yet
                await asyncio.sleep(min(left, PAUSE))
        if state.response is not None:
            return state.response
        told: dict[str, Any] = {}
        if state.record.trace:
            told["traceId"] = trace_id(state.record.trace)
        told |= {"taskId": task_id, "status": state.status.value, "metrics": {}, "warnings": []}
        return told

    async def cancel(self, task_id: str, who: Principal) -> bool:
        """Cancel a task; False when it had ended already."""
        try:
            state = await self.state(task_id, who)
        except NotFound:
            await self._left(task_id, who)
            return False
        if state.status.terminal:
            return False
        return bool(await self.routes.call(state.shard, "cancel", task_id, ACCEPT_TIMEOUT))

    async def events(
        self, task_id: str, who: Principal, after: str | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield a task's log behind a cursor, as it grows, to its end.

        Raises:
            NotFound: There is no such task, or it is somebody else's.
            InvalidParameters: That is no cursor.
        """
        try:
            state = await self.state(task_id, who)
        except NotFound:
            left = await self._left(task_id, who)
            if step_of(after) < END_STEP:
                yield _last_word(left)
            return
        follower = Follower(self.routes, self._stories, self._clock, task_id, state.shard)
        async with aclosing(follower.read(after)) as events:
            async for event in events:
                yield event

    async def feed(
        self, task_id: str, who: Principal, piece: Piece, sequence: int, data: Any = None
    ) -> None:
        """Send a piece of a stream into a running task; returns when the task has room for more.

        Args:
            task_id: Whose stream.
            who: Must be the task's owner.
            piece: `start` (its data is a content type), `data` or `end`.
            sequence: 0 for the start, then one more for each piece; a repeat of the last is
                without effect, a gap is refused.
            data: Bytes or plain values.

        Raises:
            NotFound: There is no such task, or it takes no more.
            InvalidMessage: A piece is missing.
        """
        state = await self.state(task_id, who)
        payload = [task_id, piece, sequence, data]
        left = state.record.deadline - self._clock.now()
        await self.routes.call(state.shard, "feed", payload, max(left, PAUSE))

    async def state(self, task_id: str, who: Principal) -> TaskState:
        """Return where a task stands.

        Raises:
            NotFound: There is no such task, or it is somebody else's.
        """
        state = fold(await self._stories.story(task_id))
        if state is None or not who.sees(state.record.principal.user, state.record.task_type):
            raise NotFound(f"There is no task {task_id!r} of yours.")
        return state

    async def _left(self, task_id: str, who: Principal) -> Remnant:
        """Return what is left of a task that has no events any more.

        Raises:
            NotFound: There is no such task, or it is somebody else's.
        """
        left = await self._stories.remnant(task_id)
        if left is None or not who.sees(left.user, left.task_type):
            raise NotFound(f"There is no task {task_id!r} of yours.")
        return left

    async def supervisors(self) -> list[dict[str, Any]]:
        """Return every shard's own account of itself; one that does not answer is `down`."""
        shards = sorted((await self.routes.table()).addresses)
        return list(await asyncio.gather(*(self._status(shard) for shard in shards)))

    async def _status(self, shard: str) -> dict[str, Any]:
        try:
            status: dict[str, Any] = await self.routes.call(shard, "status", None, 2.0)
        except (ServiceUnavailable, ConfigurationInvalid):
            return {"id": shard, "state": "down", "hosts": []}
        return status

    async def follow(self) -> None:
        """Keep the route table fresh, for as long as the door is open."""
        await self.routes.follow()

    def close(self) -> None:
        """Close every channel."""
        self.routes.close()


def _last_word(left: Remnant) -> dict[str, Any]:
    """Return the one event that can still be told of a task without events."""
    response = remains(left)
    entry = Entry(END_STEP, end_type(response), left.finished_at, response)
    return to_wire(left.task_id, entry, iso(left.finished_at))
