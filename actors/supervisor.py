"""Tier 1: owns the tasks of one shard of a team, from acceptance to the end."""

import asyncio
from typing import Any

from actors.cell import Cell, DrainRate, repeatable, same_task
from actors.fleet import Fleet, Host
from actors.hosting import Group, Limits
from actors.mailbox import Entry, Mailbox
from actors.response import agent_down, attempt_lost, failure, report, respond, settlement
from cartrita.catalog import Catalog
from cartrita.channel.server import Call
from cartrita.clock import Clock
from cartrita.errors import (
    CartritaError,
    ChannelLost,
    IdempotencyMismatch,
    InsufficientBudget,
    InternalFailure,
    QueueFull,
    ServiceUnavailable,
    StaleEpoch,
    StillRunning,
    TaskCancelled,
    TaskTimeout,
)
from cartrita.journal import (
    Event,
    EventKind,
    Journal,
    Stories,
    TaskRecord,
    Verdict,
    fold,
)
from cartrita.protocol.task import TaskStatus
from cartrita.telemetry.log import get_logger
from cartrita.telemetry.metrics import (
    MESSAGE_LATENCY,
    MESSAGES_RECEIVED,
    MESSAGES_SENT,
    TASKS_STARTED,
    labelled,
)

log = get_logger(__name__)

GRACE = 1.0
"""Seconds a host has, past a task's deadline, to report the time-out itself."""


class Supervisor:
    """The data plane of one shard. A plain class: Ray is somebody else's business.

    Args:
        shard: Such as `intelligence/0`.
        catalog: What tasks there are.
        journal: This shard's writer, opened.
        stories: Reads tasks back.
        limits: Bounds of waiting and running tasks.
    """

    def __init__(
        self,
        shard: str,
        catalog: Catalog,
        journal: Journal,
        stories: Stories,
        *,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self.shard, self._catalog, self._journal, self._stories = shard, catalog, journal, stories
        self._limits, self._clock = limits, clock
        self._mailbox = Mailbox(limits.queue)
        self._cells: dict[str, Cell] = {}
        self._admitting = self._running = 0
        self._rate = DrainRate(clock)
        self._fleet: Fleet | None = None
        self.state = "starting"
        self.fenced = asyncio.Event()
        self._received = MESSAGES_RECEIVED.labels("TASK_REQUEST", "door", shard)
        self._sent = MESSAGES_SENT.labels("TASK_RESPONSE", shard, "door")
        self._dispatched = MESSAGES_SENT.labels("TASK_REQUEST", shard, "worker")
        self._latency = MESSAGE_LATENCY.labels("TASK_REQUEST")

    async def start(self, fleet: Fleet, token: str) -> None:
        """Start the hosts and take up what was accepted and not finished."""
        self._fleet = fleet
        await fleet.start(token, self._journal.epoch)
        async for record, story in self._journal.unfinished():
            self._recover(record, story)
        self.state = "up"
        self.dispatch()

    def _recover(self, record: TaskRecord, story: list[Event]) -> None:
        spec = self._catalog.names.get(record.task_type)  # it may be gone since an upgrade
        cell = Cell(record, spec.agent if spec else "unknown", self._clock.monotonic())
        cell.accepted = True
        state = fold(story)
        cell.attempts = state.attempts if state else 0
        self._cells[record.task_id] = cell
        if cell.attempts and not repeatable(record):
            self._finish(cell, attempt_lost(record, repeatable=False))
        else:
            self._queue(cell)

    async def handle(self, method: str, payload: Any, call: Call) -> Any:
        """Answer a door or the orchestrator."""
        if method == "submit":
            return await self._submit(TaskRecord.unpack(payload[0]), wait=payload[1])
        if method == "await":
            return await self._await(payload)
        if method == "cancel":
            return await self._cancel(payload)
        if method == "status":
            return self.snapshot()
        raise InternalFailure(f"A supervisor does not know {method!r}.")

    async def _submit(self, record: TaskRecord, *, wait: bool) -> dict[str, Any]:
        began = self._clock.monotonic()
        self._received.inc()
        cell = self._cells.get(record.task_id) or self._admit(record)
        same_task(cell.record, record)
        if cell.accepted and not wait:
            return {"taskId": record.task_id, "status": "PENDING"}
        answer = await cell.wait(end=wait)
        if isinstance(answer, Verdict):
            answer = await self._verdict(answer, record, wait=wait)
        self._sent.inc()
        self._latency.observe(self._clock.monotonic() - began)
        reply: dict[str, Any] = answer
        return reply

    def _admit(self, record: TaskRecord) -> Cell:
        """Begin the admission of a new task; it goes on whether or not anybody waits."""
        if self.fenced.is_set():
            raise StaleEpoch(f"{self.shard!r} has a newer owner.")
        if self.state != "up":
            raise ServiceUnavailable(f"{self.shard!r} is {self.state}.", retry_after=1)
        spec = self._catalog.task(record.task_type)
        assert self._fleet
        if self._fleet.given_up(spec.agent):
            raise agent_down(spec.agent)
        waiting = len(self._mailbox) + self._admitting
        if waiting >= self._limits.queue + self._limits.concurrency - self._running:
            seconds = self._rate.seconds_for(waiting)
            raise QueueFull(f"{waiting} tasks wait for {self.shard!r}.", retry_after=seconds)
        cell = Cell(record, spec.agent, self._clock.monotonic())
        self._cells[record.task_id] = cell
        self._admitting += 1
        self._journal.admit(record).add_done_callback(lambda done: self._admitted(cell, done))
        return cell

    def _admitted(self, cell: Cell, done: asyncio.Future[Verdict]) -> None:
        self._admitting -= 1
        error = done.exception()
        if error is not None or done.result().kind != "accepted":
            del self._cells[cell.record.task_id]
            cell.tell(error or done.result(), ended=True)
            self._check_fence(error)
            return
        cell.accepted = True
        labelled(TASKS_STARTED, cell.record.task_type, cell.agent).inc()
        cell.tell({"taskId": cell.record.task_id, "status": "PENDING"}, ended=False)
        self._queue(cell)
        self.dispatch()

    def _queue(self, cell: Cell) -> None:
        assert self._fleet
        if self._fleet.given_up(cell.agent):
            self._finish(cell, failure(agent_down(cell.agent)))
            return
        record = cell.record
        left = record.deadline - self._clock.now()
        if left <= 0:
            self._finish(cell, failure(TaskTimeout("The deadline passed before it could run.")))
            return
        cell.timer = asyncio.get_running_loop().call_later(left, self._expired, cell)
        entry = Entry(record.task_id, cell.agent, record.principal.tenant, record.priority)
        self._mailbox.push(entry, force=True)
        self._fleet.wake(cell.agent)

    def _expired(self, cell: Cell) -> None:
        if self._mailbox.remove(cell.record.task_id):
            self._finish(cell, failure(TaskTimeout("The deadline passed while it waited.")))

    async def _verdict(self, verdict: Verdict, record: TaskRecord, *, wait: bool) -> dict[str, Any]:
        """Answer a submission that was not admitted as a new task."""
        if verdict.kind == "mismatch":
            raise IdempotencyMismatch(
                f"The key belongs to task {verdict.task_id!r}, which asked for something else."
            )
        if verdict.kind == "budget":
            wait_s = verdict.resets_at - self._clock.now() if verdict.resets_at else None
            raise InsufficientBudget(
                f"The budget {verdict.budget!r} has no room for this task.", retry_after=wait_s
            )
        return await self._known(verdict.task_id, record, wait=wait)

    async def _known(self, task_id: str, record: TaskRecord, *, wait: bool) -> dict[str, Any]:
        """Answer for the task that an earlier submission of `record` became."""
        other = task_id != record.task_id
        live = self._live(task_id)  # looked at first: a cell goes when its end is in the story
        if live is not None:
            same_task(live.record, record, known=other)
        if live is None or (wait and not other):
            ended = await (self._await(task_id) if live else self._told(task_id, record))
            if ended is not None:
                return ended
        if other:
            raise StillRunning(f"The first request with this key is task {task_id!r}.")
        return {"taskId": task_id, "status": TaskStatus.PENDING.value}

    async def _told(self, task_id: str, record: TaskRecord) -> dict[str, Any] | None:
        """Return the response that a task's story ends with; None when it has no end yet."""
        state = fold(await self._stories.story(task_id))
        if state is None:
            raise InternalFailure(f"Task {task_id!r} is known and has no story.")
        same_task(state.record, record, known=task_id != record.task_id)
        return state.response

    def _live(self, task_id: str) -> Cell | None:
        cell = self._cells.get(task_id)
        return cell if cell is not None and cell.accepted else None

    async def _await(self, task_id: str) -> dict[str, Any] | None:
        """Return a task's response once it ends; None when it is not live here."""
        cell = self._live(task_id)
        if cell is None:
            return None
        answer: dict[str, Any] | Verdict | None = await cell.wait(end=True)
        if isinstance(answer, Verdict):  # somebody else wrote the end
            answer = await self._told(task_id, cell.record)
        return answer

    async def _cancel(self, task_id: str) -> bool:
        """Cancel a live task; False when there is none."""
        cell = self._live(task_id)
        if cell is None or cell.ending:
            return False
        cell.cancelled = True
        if cell.work and cell.begun:
            cell.work.cancel()
        elif self._mailbox.remove(task_id):
            self._finish(cell, failure(TaskCancelled("Cancelled while it waited.")))
        return True

    def dispatch(self) -> None:
        """Give waiting tasks to free workers, as many as fit."""
        fleet = self._fleet
        if fleet is None or self.state != "up":
            return
        while len(self._mailbox) and self._running < self._limits.concurrency:
            entry = self._mailbox.pop(fleet.ready())
            if entry is None:
                return
            cell = self._cells[entry.task_id]
            if cell.timer:
                cell.timer.cancel()
            self._running += 1
            cell.attempts += 1
            cell.began = self._clock.monotonic()
            host = fleet.acquire(cell.agent)
            cell.work = asyncio.create_task(self._attempt(cell, host))

    async def _attempt(self, cell: Cell, host: Host) -> None:
        """Run one attempt on a host, to its end or to the host's."""
        outcome: dict[str, Any] | None
        cell.begun = True
        try:
            outcome = await self._run(cell, host)
        except ChannelLost:
            outcome = self._host_lost(cell)
        except asyncio.CancelledError:
            if not cell.cancelled:
                raise  # the supervisor itself is being stopped: the journal keeps the task
            outcome = failure(TaskCancelled("Cancelled while it ran."))
        except CartritaError as error:
            outcome = failure(error)
            self._check_fence(error)
        finally:
            self._running -= 1
            assert self._fleet
            self._fleet.release(host, cell.agent)
            cell.work, cell.begun = None, False
        if outcome is None:
            self._queue(cell)
        else:
            self._finish(cell, outcome)
        self.dispatch()

    async def _run(self, cell: Cell, host: Host) -> dict[str, Any]:
        record = cell.record
        if cell.cancelled:
            raise TaskCancelled("Cancelled before it ran.")
        if not repeatable(record):  # "had not started" is otherwise unknowable after a crash
            started = Event.within(record.task_id, cell.attempts, 1, EventKind.STARTED)
            await self._journal.append(started)
        left = record.deadline - self._clock.now()
        self._dispatched.inc()
        payload = [record.pack(), cell.attempts, left]
        reply: dict[str, Any] = await host.channel.request(
            "run", payload, left + GRACE, record.trace
        )
        return reply

    def _host_lost(self, cell: Cell) -> dict[str, Any] | None:
        """Decide what becomes of a task whose host died; None to run it again."""
        record = cell.record
        if repeatable(record) and cell.attempts < record.max_attempts:
            self._journal.append(Event.within(record.task_id, cell.attempts, 2, EventKind.RETRY))
            return None
        return attempt_lost(record, repeatable=repeatable(record))

    def _finish(self, cell: Cell, outcome: dict[str, Any]) -> None:
        """Write the end; those who wait are told once it is durable."""
        cell.ending = True
        if cell.timer:
            cell.timer.cancel()
        queued = (cell.began or self._clock.monotonic()) - cell.since
        response = respond(cell.record, outcome, queued=queued, attempts=cell.attempts)
        end = Event.end(cell.record.task_id, TaskStatus(response["status"]), response)
        settled = self._journal.append(end, settlement(cell.record, response))
        settled.add_done_callback(lambda done: self._finished(cell, response, done))

    def _finished(self, cell: Cell, response: dict[str, Any], done: asyncio.Future[bool]) -> None:
        self._cells.pop(cell.record.task_id, None)
        self._rate.count()
        error = done.exception()
        if error is not None:
            self._check_fence(error)
            cell.tell(error, ended=True)
        elif not done.result():
            known = Verdict("known", cell.record.task_id)
            cell.tell(known, ended=True)
        else:
            seconds = self._clock.monotonic() - cell.since
            report(cell.record.task_type, cell.agent, response, seconds)
            cell.tell(response, ended=True)

    def _check_fence(self, error: BaseException | None) -> None:
        """Stop when a newer incarnation owns the shard."""
        if isinstance(error, StaleEpoch) and not self.fenced.is_set():
            log.error("fenced", shard=self.shard, epoch=self._journal.epoch)
            self.state = "down"
            self.fenced.set()

    def give_up(self, group: Group) -> None:
        """Fail the waiting tasks of agents whose hosts will not be started again."""
        for cell in list(self._cells.values()):
            if cell.agent in group.names and self._mailbox.remove(cell.record.task_id):
                self._finish(cell, failure(agent_down(cell.agent)))

    def snapshot(self) -> dict[str, Any]:
        """Return this shard as `GET /v3/tree` shows it."""
        return {
            "id": self.shard,
            "team": self.shard.partition("/")[0],
            "shard": int(self.shard.rpartition("/")[2]),
            "state": self.state,
            "epoch": self._journal.epoch,
            "restarts": self._journal.restarts,
            "queueDepth": len(self._mailbox),
            "inFlight": self._running,
            "capacity": self._limits.concurrency,
            "hosts": self._fleet.snapshot() if self._fleet else [],
        }

    async def stop(self, grace: float = 10.0) -> None:
        """Refuse new tasks, let running ones end, stop the hosts; the journal keeps the rest."""
        self.state = "draining"
        await self._settled(grace)
        if self._fleet:
            await self._fleet.stop()
        await self._settled(GRACE)  # those whose hosts were ended still say so
        for cell in self._cells.values():
            if cell.timer:
                cell.timer.cancel()
        await self._journal.close()
        self.state = "down"

    async def _settled(self, timeout: float) -> None:
        """Wait until no attempt is under way."""
        running = [cell.work for cell in self._cells.values() if cell.work]
        if running:
            await asyncio.wait(running, timeout=timeout)
