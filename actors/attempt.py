"""The attempts that are under way in a shard: dispatched, watched, taken back."""

import asyncio
import random
from functools import partial
from typing import Any, Protocol

from actors import spending
from actors.cell import Cell
from actors.effects import Effects
from actors.family import Calls, Family
from actors.fate import fate
from actors.fleet import Fleet
from actors.response import failure
from actors.slot import Host
from actors.tasklog import TaskLog
from actors.uselog import UseLog
from cartrita.channel.client import Asked, Exchange
from cartrita.clock import Clock
from cartrita.errors import (
    CartritaError,
    ChannelLost,
    ErrorCode,
    NotFound,
    TaskCancelled,
    TaskTimeout,
)
from cartrita.journal import ATTEMPT_SHIFT, Event, EventKind, Journal
from cartrita.ledger import Ledger
from cartrita.policy.retry import backoff
from cartrita.story import STARTED
from cartrita.telemetry.log import about
from cartrita.telemetry.metrics import MESSAGES_SENT, labelled
from cartrita.trail import Leg

GRACE = 1.0
"""Seconds a host has, past a task's deadline, to report the time-out itself."""

FIRST_REST = 0.5
LONGEST_REST = 30.0
"""Seconds between an attempt that failed on the network and the next: 0.5, 1, 2 … 30, ± 50 %."""

_END_OF_ATTEMPT = (1 << ATTEMPT_SHIFT) - 1


class Tasks(Protocol):
    """What the attempts ask of their supervisor."""

    @property
    def fleet(self) -> Fleet:
        """The hosts."""

    def attempted(self, cell: Cell, outcome: dict[str, Any] | None) -> None:
        """An attempt is over; without an outcome the task runs again."""

    def dispatch(self) -> None:
        """A place is free."""

    def ended(self, cell: Cell, took: float) -> None:
        """Learn from an attempt that ran to its end in so many seconds."""

    def check_fence(self, error: BaseException | None) -> None:
        """Look at what a write failed with."""


class Attempts:
    """Runs cells on hosts.

    Args:
        shard: Whose they are.
        tasks: The supervisor.
        calls: The Door for sub-tasks.
        ledger: The shard's, for effects.
        randomness: For the pauses between attempts.
    """

    def __init__(  # noqa: PLR0913 - each is a separate collaborator
        self,
        shard: str,
        journal: Journal,
        clock: Clock,
        tasks: Tasks,
        *,
        calls: Calls | None,
        ledger: Ledger | None,
        randomness: random.Random,
    ) -> None:
        self._journal, self._clock, self._tasks = journal, clock, tasks
        self._family = Family(calls, self._suspend, self._resume, self._tell)
        self.effects = Effects(ledger, clock, tasks.check_fence)
        self._random = randomness
        self._sent = labelled(MESSAGES_SENT, "TASK_REQUEST", shard, "worker")
        self.running = self.suspended = 0

    def begin(self, cell: Cell, host: Host) -> None:
        """Start an attempt on a host that was acquired for it."""
        if cell.timer:
            cell.timer.cancel()
        self.running += 1
        cell.attempts += 1
        cell.began = self._clock.monotonic()
        cell.started, cell.host, cell.noted = None, host, (0, 0)
        if cell.trail:
            cell.trail.legs.append(Leg(cell.attempts, self._clock.now(), host.spec.host_id))
        if cell.log:
            self._begin_log(cell, cell.log)
        cell.work = self._sent_off(cell, host)
        if cell.work is None:
            cell.work = asyncio.create_task(self._attempt(cell, host))

    def _sent_off(self, cell: Cell, host: Host) -> Asked | None:
        """Send an attempt to its host, where nothing is to be waited for; else None.

        Most end without a task of asyncio's, which costs as much as all else that is done here.
        """
        left = cell.record.deadline - self._clock.now()
        if left <= 0 or cell.cancelled or not (cell.repeatable and host.channel.ready):
            return None
        try:
            asked = self._send(cell, host, left)
        except CartritaError:
            return None  # a task finds that, too, and says so in its turn
        cell.begun = True
        asked.add_done_callback(partial(self._replied, cell, host))
        return asked

    def _replied(self, cell: Cell, host: Host, asked: asyncio.Future[dict[str, Any]]) -> None:
        """Go on after a host's reply; whatever else came is for a task to see."""
        if asked.cancelled() or asked.exception() is not None:
            cell.begun = False
            cell.work = asyncio.create_task(self._attempt(cell, host, asked))
            return
        outcome = self._answered(cell, asked.result())
        self._leave(cell, host)
        self._over(cell, outcome)

    async def _attempt(
        self, cell: Cell, host: Host, asked: asyncio.Future[dict[str, Any]] | None = None
    ) -> None:
        """Run one attempt on a host, to its end or to the host's.

        Args:
            cell: The task.
            host: Where it has a place.
            asked: The reply to come, where it was sent already.
        """
        outcome: dict[str, Any] | None
        cell.begun = True
        about(cell.record.trace, cell.record.task_id)
        try:
            try:
                outcome = self._answered(cell, await (asked or self._run(cell, host)))
            except ChannelLost:
                host.lose()
                await asyncio.shield(host.gone)
                self.effects.over(cell)
                outcome = self._host_lost(cell, host)
        except asyncio.CancelledError:
            if not cell.cancelled:
                raise  # the supervisor itself is being stopped: the journal keeps the task
            outcome = failure(TaskCancelled("Cancelled while it ran."))
        except CartritaError as error:
            outcome = failure(error)
            self._tasks.check_fence(error)
        finally:
            self._leave(cell, host)
        self._over(cell, outcome)

    def _answered(self, cell: Cell, outcome: dict[str, Any]) -> dict[str, Any] | None:
        """Learn from what a host says of an attempt; None to try it again."""
        if cell.trail:
            cell.trail.worked(outcome)
        self._tasks.ended(cell, self._clock.monotonic() - cell.began)
        return self._failed(cell, outcome)

    def _over(self, cell: Cell, outcome: dict[str, Any] | None) -> None:
        """Let go of an attempt and have its supervisor go on."""
        self._spill(cell)
        self.effects.over(cell)
        if cell.trail:
            cell.trail.over(self._clock.now(), outcome)
        self._tasks.attempted(cell, spending.told(cell, outcome))

    async def _run(self, cell: Cell, host: Host) -> dict[str, Any]:
        record = cell.record
        if cell.cancelled:
            raise TaskCancelled("Cancelled before it ran.")
        if not cell.repeatable:  # "had not started" is otherwise unknowable after a crash
            await self._written(self._start(cell), record.deadline - self._clock.now())
        left = record.deadline - self._clock.now()
        if left <= 0:
            raise TaskTimeout("The deadline passed before it could run.")
        return await self._request(cell, host, left)

    async def _request(self, cell: Cell, host: Host, left: float) -> dict[str, Any]:
        """Send an attempt once its host has room for it."""
        exchange, record = self._exchange(cell, host), cell.record
        self._placed(cell)
        reply: dict[str, Any] = await host.channel.request(
            "run", _order(cell, left), left + GRACE, record.trace, exchange
        )
        return reply

    def _send(self, cell: Cell, host: Host, left: float) -> Asked:
        """Send an attempt to a host that has room for it."""
        exchange, record = self._exchange(cell, host), cell.record
        asked = host.channel.post("run", _order(cell, left), left + GRACE, record.trace, exchange)
        self._placed(cell)
        return asked

    def _exchange(self, cell: Cell, host: Host) -> Exchange:
        cell.exchange = Exchange(partial(self._heard, cell, host))
        return cell.exchange

    def _placed(self, cell: Cell) -> None:
        """Let those go on who feed it: what they write comes after the request."""
        self._sent.inc()
        cell.sent = True
        if cell.placed:
            cell.placed.set()

    def _start(self, cell: Cell) -> asyncio.Future[bool]:
        """Make it durable that an attempt started; once per attempt."""
        if cell.started is None:
            started = Event.within(cell.record.task_id, cell.attempts, STARTED, EventKind.STARTED)
            started.at = cell.started_at = self._clock.now()
            cell.started = self._journal.append(started)
        return cell.started

    def _begin_log(self, cell: Cell, log: TaskLog) -> None:
        durable = self._start(cell)
        log.begin(cell.attempts, cell.started_at, durable)

    @staticmethod
    async def _written(start: asyncio.Future[bool], left: float) -> None:
        """Wait for the journal, but no longer than the task may take."""
        done, _ = await asyncio.wait([start], timeout=max(left, 0))
        if not done:
            raise TaskTimeout("The deadline passed before its start could be written down.")
        start.result()

    def _heard(self, cell: Cell, host: Host, event: list[Any]) -> None:
        """Act on what an agent says in the course of its work."""
        kind, data = event
        if kind == "call":
            self._family.ask(cell, host, data)
        elif kind == "used":
            self._used(cell, data)
        elif kind == "effect":
            self.effects.ask(cell, host, data)
        elif kind == "idle":
            self._family.idle(cell, waits=data)
        elif not cell.ending:
            self.log_of(cell).say(kind, data, cell.exchange.grant if cell.exchange else None)

    def _tell(self, cell: Cell, token: dict[str, Any]) -> None:
        """Show a sub-task's token as its parent's."""
        if cell.running and not cell.ending:
            self.log_of(cell).say("token", token)

    def _used(self, cell: Cell, row: list[Any]) -> None:
        """Keep what an agent used, for the task's story."""
        if cell.ending or not cell.running:
            return
        if cell.uses is None:
            cell.uses = UseLog(cell.record.task_id, self._journal.append, self._clock.now)
        cell.uses.add(cell.attempts, row)
        if cell.trail:
            cell.trail.used(cell.attempts, self._clock.now(), *row)
        spending.note(cell, *row)

    def log_of(self, cell: Cell) -> TaskLog:
        """Return a task's log, beginning one where the journal's story ends."""
        if cell.log is None:
            past = cell.attempts - 1 if cell.running else cell.attempts
            base = past << ATTEMPT_SHIFT | _END_OF_ATTEMPT if past else STARTED
            append = self._journal.append
            cell.log = TaskLog(cell.record.task_id, base, append, self._clock.now)
            if cell.running:
                self._begin_log(cell, cell.log)
        return cell.log

    def _host_lost(self, cell: Cell, host: Host) -> dict[str, Any] | None:
        """Decide what becomes of a task whose host died; None to run it again."""
        suspected = not host.planned and (host.idle or not cell.calls)
        if suspected:
            cell.deaths.append(host.crowd == 1)
        outcome = fate(cell)
        if outcome is None and suspected:
            self._note_retry(cell, {"solo": cell.deaths[-1]})
        return outcome

    def _failed(self, cell: Cell, outcome: dict[str, Any]) -> dict[str, Any] | None:
        """Decide what becomes of a task that failed on the network; None to try it again.

        One that has called others ends: they have been tried again already, and would answer
        its next attempt the same.
        """
        failed = outcome.get("errorCode") == ErrorCode.NETWORK_ERROR
        last = cell.attempts >= cell.record.max_attempts or cell.cancelled
        if not failed or last or cell.called or not cell.repeatable:
            return outcome
        pause = backoff(self._random, cell.attempts - 1, FIRST_REST, LONGEST_REST)
        rest = max(pause, outcome.get("retryAfter") or 0.0)
        if rest >= cell.record.deadline - self._clock.now():
            return outcome
        used, (usd, tokens) = outcome["metrics"], cell.spent
        cell.rest, cell.noted = rest, (0, 0)
        cell.spent = (usd + used["costUsd"], tokens + used["tokensUsed"])
        data = {key: outcome[key] for key in ("errorCode", "errorMessage")}
        data |= {key: used[key] for key in ("costUsd", "tokensUsed")}
        self._note_retry(cell, {**data, "afterMs": round(rest * 1000)})
        return None

    def _note_retry(self, cell: Cell, data: dict[str, Any]) -> None:
        """Make it durable that an attempt is over and another will follow."""
        self._spill(cell)  # first: no crash in between may leave a gap before the retry
        step = cell.log.retry_step() if cell.log else (cell.attempts << ATTEMPT_SHIFT) | 2
        retry = Event(cell.record.task_id, step, EventKind.RETRY, data, self._clock.now())
        cell.written = self._journal.append(retry)
        if cell.log:
            cell.log.lost(retry, cell.written)

    def _spill(self, cell: Cell) -> None:
        """Have written what an attempt that is over said and used."""
        if cell.log:
            cell.log.spill()
        if cell.uses:
            cell.uses.flush()

    def _leave(self, cell: Cell, host: Host) -> None:
        """Give back what an attempt held."""
        working = not cell.calls
        if working:
            self.running -= 1
        else:
            self.suspended -= 1
        self._tasks.fleet.release(host, cell.agent, working=working)
        cell.work, cell.host, cell.begun, cell.sent = None, None, False, False
        cell.exchange = None

    def part(self, cell: Cell) -> None:
        """Let go of the sub-tasks of an attempt that is over."""
        if cell.called:
            self._family.part(cell)

    def _suspend(self, cell: Cell) -> None:
        """Give a place back while its task waits for sub-tasks."""
        assert cell.host
        self.running -= 1
        self.suspended += 1
        self._tasks.fleet.suspend(cell.host, cell.agent)
        self._tasks.dispatch()

    def _resume(self, cell: Cell) -> None:
        if cell.host is None:  # its attempt is over
            return
        self.suspended -= 1
        self.running += 1
        self._tasks.fleet.resume(cell.host, cell.agent)

    async def feed(self, cell: Cell | None, payload: list[Any], timeout: float) -> None:
        """Pass a piece of a stream on to the attempt that reads it.

        Raises:
            NotFound: The task is not live here.
        """
        if cell is None:
            raise NotFound(f"Task {payload[0]!r} is not running here.")
        try:
            async with asyncio.timeout(timeout):
                while not cell.sent and not cell.ending:
                    cell.placed = cell.placed or asyncio.Event()
                    cell.placed.clear()
                    await cell.placed.wait()
        except TimeoutError:
            raise TaskTimeout(f"Task {payload[0]!r} does not run yet.") from None
        host = cell.host
        if host is None:
            raise NotFound(f"Task {payload[0]!r} has ended.")
        cell.fed = True
        # What it reads is gone then: a successor of ours must know that it had started.
        await asyncio.shield(self._start(cell))
        await host.channel.request("feed", payload, timeout)


def _order(cell: Cell, left: float) -> list[Any]:
    """Return what a host is told of an attempt that has so many seconds."""
    order: list[Any] = [cell.record.pack(), cell.attempts, left]
    if cell.pressure or cell.spent != (0.0, 0):
        order.append([cell.pressure, *cell.spent])
    return order
