"""Tier 1: owns the tasks of one shard of a team, from acceptance to the end."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from actors.admission import Admission, Work, closed
from actors.attempt import Attempts
from actors.callers import Callers
from actors.cell import Cell, at_rest
from actors.counting import Traffic
from actors.entrance import Asker, Entrance
from actors.family import Calls
from actors.fate import lost_for_good, told
from actors.fleet import Fleet
from actors.hosting import Group, Limits, shard_row
from actors.reading import Reading
from actors.recovery import Standing, fresh, left_over, revived
from actors.response import agent_down, failure
from actors.spending import settled
from actors.tracking import Tracking
from cartrita.catalog import Catalog
from cartrita.channel.server import Call
from cartrita.clock import Clock
from cartrita.errors import InternalFailure, StaleEpoch, TaskCancelled, TaskTimeout
from cartrita.journal import Event, Journal, Stories, TaskRecord, Verdict
from cartrita.ledger import Ledger
from cartrita.protocol.task import TaskStatus
from cartrita.telemetry.log import get_logger
from cartrita.telemetry.span import Tracer

log = get_logger(__name__)

GRACE = 1.0
"""Seconds that tasks whose hosts were ended have to say so."""


class Supervisor:
    """The data plane of one shard. A plain class: Ray is somebody else's business.

    Args:
        shard: Such as `intelligence/0`.
        catalog: What tasks there are.
        journal: This shard's writer, opened.
        stories: Reads tasks back.
        limits: Bounds of waiting and running tasks.
        randomness: For the pauses between attempts.
        calls: The Door for sub-tasks.
        ledger: This shard's, for the effects of tasks.
        tracer: Is told of every task that ends.
    """

    def __init__(  # noqa: PLR0913 - each is a separate collaborator
        self,
        shard: str,
        catalog: Catalog,
        journal: Journal,
        stories: Stories,
        *,
        limits: Limits,
        clock: Clock,
        randomness: random.Random,
        calls: Calls | None = None,
        ledger: Ledger | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.shard, self._catalog, self._journal, self._clock = shard, catalog, journal, clock
        self.admission = Admission(limits, clock)
        self._mailbox = self.admission.mailbox
        self._cells: dict[str, Cell] = {}
        self._arriving = 0
        self._fleet: Fleet | None = None
        self._attempts = Attempts(
            shard, journal, clock, self, calls=calls, ledger=ledger, randomness=randomness
        )
        self._tracking, self._stories = Tracking(shard, clock, tracer), stories
        self._callers = Callers(stories, clock, self._live)
        self._reading = Reading(stories, self._attempts.log_of)
        self.state, self.halted = "starting", False
        self.fenced, self.troubled, self._emptied = (asyncio.Event() for _ in range(3))
        self._verbs: dict[str, Callable[[Any, Call], Awaitable[Any]]] = {
            "await": lambda task_id, _: self._callers.ended(task_id),
            "cancel": self._cancel,
            "events": lambda asked, call: self._reading.serve(self._live(asked[0]), asked[1], call),
            "feed": lambda sent, call: self._attempts.feed(self._live(sent[0]), sent, call.timeout),
            "status": self._status,
        }
        self._traffic = Traffic(shard, clock)
        self.begin = Entrance(self._submit, self._traffic).begin

    @property
    def fleet(self) -> Fleet:
        """The hosts."""
        assert self._fleet, "start() gives one"
        return self._fleet

    async def start(
        self, fleet: Fleet, token: str, obey: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Start the hosts, `obey` earlier orders, and take up what was accepted and not finished.

        The first of it runs while the rest is read.
        """
        self._fleet, fleet.each_tick = fleet, self._report
        await fleet.start(token, self._journal.epoch)
        if obey:
            await obey()
        async for standing in left_over(self._journal):
            await self._recover(standing)
        self.state = "up"
        if self._journal.restarts:
            self._tracking.take_over(self._stories, self._catalog)

    async def _recover(self, standing: list[Standing]) -> None:
        cells = [revived(self._cell(one[0].record), one, self._catalog) for one in standing]
        self._cells.update((cell.record.task_id, cell) for cell in cells)
        await self._attempts.effects.inherit([cell for cell in cells if cell.ledgered])
        for cell in cells:
            if cell.attempts and not cell.repeatable:
                self.finish(cell, lost_for_good(cell))
            else:
                self._queue(cell)

    def _cell(self, record: TaskRecord) -> Cell:
        spec, now = self._catalog.names.get(record.work), self._clock.monotonic()
        if spec and record.carrier:
            self.fleet.adopt(record.carrier, spec.agent)
        return self._tracking.of(fresh(record, spec, now, self.admission.weigh(record)))

    async def handle(self, method: str, payload: Any, call: Call) -> Any:
        """Answer a door."""
        if (begun := self.begin(method, payload, call)) is not None:
            return await begun
        verb = self._verbs.get(method)
        if verb is None:
            raise InternalFailure(f"A supervisor does not know {method!r}.")
        return await verb(payload, call)

    def _submit(self, record: TaskRecord, asker: Asker, *, wait: bool) -> asyncio.Future[Any]:
        cell = self._cells.get(record.task_id) or self._admit(record)
        cell.again(record, asker)
        answer = cell.wait(end=wait)
        if cell.accepted and not wait:
            cell.tell({"taskId": record.task_id, "status": "PENDING"}, ended=False)
        return answer

    def _admit(self, record: TaskRecord) -> Cell:
        """Begin the admission of a new task; it goes on whether or not anybody waits."""
        refusal = closed(self.shard, self.state, halted=self.halted, fenced=self.fenced.is_set())
        if refusal:
            raise refusal
        self._catalog.task_named(record.work)
        cell = self._cell(record)
        agent = cell.agent
        if self.fleet.given_up(agent):
            raise agent_down(agent)
        running, suspended = self._attempts.running, self._attempts.suspended
        work = Work(self._arriving, running, suspended, self.fleet.capacity(agent))
        self.admission.check(record, agent, cell.weight, work)
        self._cells[record.task_id] = cell
        self._arriving += 1
        self._journal.admit(record).add_done_callback(lambda done: self._admitted(cell, done))
        return cell

    def _admitted(self, cell: Cell, done: asyncio.Future[Verdict]) -> None:
        self._arriving -= 1
        error = done.exception()
        if error is None:
            self._traffic.decided(done.result())
        if error is not None or done.result().kind != "accepted":
            del self._cells[cell.record.task_id]
            if error is None:
                self._callers.judged(cell, done.result())
            else:
                cell.tell(error, ended=True)
                self.check_fence(error)
            return
        cell.accepted, cell.pressure = True, done.result().pressure
        self._tracking.accepted(cell)
        cell.tell({"taskId": cell.record.task_id, "status": "PENDING"}, ended=False)
        if cell.cancelled:
            self.finish(cell, failure(TaskCancelled("Cancelled as it came.")))
            return
        self._queue(cell)

    def _queue(self, cell: Cell) -> None:
        cell.rest = 0.0
        if self.fleet.given_up(cell.agent):
            self.finish(cell, failure(agent_down(cell.agent)))
            return
        record = cell.record
        left = record.deadline - self._clock.now()
        if left <= 0:
            self.finish(cell, failure(TaskTimeout("The deadline passed before it could run.")))
            return
        if cell.deaths:
            self.fleet.add_suspect(record.task_id, cell.agent)
        elif self._straight(cell):
            return
        else:
            entry = self.admission.entry(record, cell.agent, cell.weight)
            self._mailbox.push(entry, force=True)
            self.fleet.wake(cell.agent)
        self.dispatch()
        if cell.work is None:  # it really waits
            cell.timer = asyncio.get_running_loop().call_later(left, self._expired, cell)

    def _straight(self, cell: Cell) -> bool:
        """Begin what finds nobody in line and a free place: a line of one is no other order."""
        full = self._attempts.running >= self.admission.limits.concurrency
        if len(self._mailbox) or full or self.halted or not self.fleet.ready((cell.agent,)):
            return False
        self._place(cell)
        return True

    def _place(self, cell: Cell) -> None:
        host = self.fleet.acquire(cell.agent, cell.record.preferred_agent)
        host.suspect = cell.record.task_id if host.solo else ""
        self._attempts.begin(cell, host)

    def _unqueue(self, cell: Cell) -> bool:
        """Take a task out of where it waits; False when it does not wait."""
        task_id = cell.record.task_id
        return bool(self._mailbox.remove(task_id)) or self.fleet.drop_suspect(task_id, cell.agent)

    def _expired(self, cell: Cell) -> None:
        if self._unqueue(cell):
            self.finish(cell, failure(TaskTimeout("The deadline passed while it waited.")))

    def _live(self, task_id: str) -> Cell | None:
        cell = self._cells.get(task_id)
        return cell if cell is not None and cell.accepted else None

    async def _status(self, _payload: Any, _call: Call) -> dict[str, Any]:
        return self.snapshot()

    async def _cancel(self, task_id: str, _call: Call) -> bool:
        """Cancel a live task; False when there is none."""
        cell = self._cells.get(task_id)
        return cell is not None and self.cancel(cell)

    def cancel(self, cell: Cell) -> bool:
        """Cancel a task wherever it is; False when its end is on the way already."""
        if cell.ending:
            return False
        cell.cancelled = True
        if cell.work and cell.begun:
            cell.work.cancel()
        elif cell.accepted and (cell.rest or self._unqueue(cell)):
            self.finish(cell, failure(TaskCancelled("Cancelled while it waited.")))
        return True

    def halt(self) -> None:
        """Accept nothing and run nothing until a restart; what was accepted is kept."""
        self.halted = True

    def cancel_all(self) -> int:
        """Cancel everything that is accepted and has not ended; returns how many."""
        return sum(self.cancel(cell) for cell in list(self._cells.values()) if cell.accepted)

    def dispatch(self) -> None:
        """Give waiting tasks to free workers, as many as fit."""
        fleet, attempts = self._fleet, self._attempts
        if fleet is None or self.halted:
            return
        bound = self.admission.limits.concurrency
        while attempts.running < bound:
            alone = fleet.suspect()
            if alone is None:
                break
            task_id, host = alone
            fleet.confine(host, self._cells[task_id].agent, task_id)
            attempts.begin(self._cells[task_id], host)
        while len(self._mailbox) and attempts.running < bound:
            ready = fleet.ready(self._mailbox.agents())
            entry = self._mailbox.pop(ready) if ready else None
            if entry is None:
                break
            self._place(self._cells[entry.task_id])
        self.admission.dispatched()

    def attempted(self, cell: Cell, outcome: dict[str, Any] | None) -> None:
        """Go on after an attempt: to the task's end, or to the next attempt."""
        if outcome is not None:
            self.finish(cell, outcome)
        else:
            self._attempts.part(cell)
            if cell.rest:
                loop = asyncio.get_running_loop()
                cell.timer = loop.call_later(cell.rest, self._queue, cell)
            else:
                self._queue(cell)
        self.dispatch()

    def finish(self, cell: Cell, outcome: dict[str, Any]) -> None:
        """Write the end; those who wait are told once it is durable."""
        cell.end()
        self._attempts.part(cell)
        response = told(cell, outcome, self._clock.monotonic())
        if cell.log:
            cell.log.spill()
        status, now = TaskStatus(response["status"]), self._clock.now()
        end = Event.end(cell.record.task_id, status, response, now)
        self._tracking.ending(cell, now)
        written = self._journal.append(end, settled(cell, response))
        written.add_done_callback(lambda done: self._finished(cell, end, done))

    def _finished(self, cell: Cell, end: Event, done: asyncio.Future[bool]) -> None:
        response = end.data
        self._cells.pop(cell.record.task_id, None)
        if not self._cells:
            self._emptied.set()
        error = done.exception()
        if error is not None:
            self.check_fence(error)
            cell.tell(error, ended=True)
        elif not done.result():
            self._callers.judged(cell, Verdict("known", cell.record.task_id))
        else:
            self._tracking.ended(cell, response)
            cell.tell(response, ended=True)
        if cell.log:
            cell.log.close(end if error is None and done.result() else None)

    def check_fence(self, error: BaseException | None) -> None:
        """Stop when a newer incarnation owns the shard."""
        if isinstance(error, StaleEpoch) and not self.fenced.is_set():
            log.error("fenced", shard=self.shard, epoch=self._journal.epoch)
            self.state, self.halted = "down", True
            self.fenced.set()

    def ended(self, cell: Cell, took: float) -> None:
        """Learn from an attempt that ran to its end in so many seconds."""
        self.admission.ended(cell.record, cell.agent, cell.weight, took)
        self.fleet.worked(cell.agent)

    def relieved(self) -> None:
        """A group is tried again."""
        self.troubled.set()

    def give_up(self, group: Group, *, quarantined: bool) -> None:
        """Fail the waiting tasks of agents whose hosts will not be started again."""
        self.troubled.set()
        for cell in [] if quarantined else list(self._cells.values()):
            if cell.agent in group.names and self._unqueue(cell):
                self.finish(cell, failure(agent_down(cell.agent)))

    async def trouble(self, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Wait until other groups than `known` are in trouble, and return all that are."""
        while self.fleet.troubles() == known:
            self.troubled.clear()
            await self.troubled.wait()
        return self.fleet.troubles()

    def waiting(self, agent: str) -> int:
        """Return how many tasks wait for a host of an agent's (the fleet asks)."""
        idle = self.admission.limits.concurrency - self._attempts.running
        return min(self._mailbox.depth(agent), max(idle, 1))

    def service(self, agent: str) -> float:
        """Return the mean seconds that a task of an agent takes (the fleet asks)."""
        return self.admission.agents.service(agent)

    def _report(self) -> None:
        limits, running = self.admission.limits, self._attempts.running
        self._traffic.load(len(self._mailbox), limits.queue, running, limits.concurrency)

    async def drain(self) -> None:
        """Refuse new tasks and wait until all that were accepted have ended."""
        self.state = "draining"
        while self._cells:
            self._emptied.clear()
            await self._emptied.wait()

    def snapshot(self) -> dict[str, Any]:
        """Return this shard as `GET /v3/tree` shows it."""
        return {
            **shard_row(self.shard, self.state, self._journal),
            "queueDepth": len(self._mailbox),
            "inFlight": self._attempts.running,
            "suspended": self._attempts.suspended,
            "capacity": self.admission.limits.concurrency,
            **self._tracking.pace.figures(),
            "hosts": self._fleet.snapshot() if self._fleet else [],
        }

    async def stop(self, grace: float = 10.0) -> None:
        """Refuse new tasks, let running ones end, stop the hosts; the journal keeps the rest."""
        self.state, self.halted = "draining", True
        await at_rest(self._cells, grace)
        if self._fleet:
            await self._fleet.stop()
        await at_rest(self._cells, GRACE)  # those whose hosts were ended still say so
        for cell in self._cells.values():
            cell.abandon()
        self._tracking.close()
        await self._attempts.effects.close()
        await self._journal.close()
        self.state = "down"
