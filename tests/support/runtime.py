"""What stands behind the gate for its doors' tests: events, quarantine, commands, audit."""

import asyncio
from contextlib import aclosing
from dataclasses import asdict

from cartrita.answers import Terms, TieredAnswers
from cartrita.clock import SystemClock, new_id
from cartrita.errors import CartritaError, InvalidParameters, NotFound
from cartrita.protocol.task import TaskRequest
from cartrita.storage.memory_answers import InMemoryShelf

ENDS = ("completed", "failed", "cancelled", "timeout")
AT = "2026-11-25T12:00:00.125+00:00"


def event(task_id, place, kind, data=None, attempt=1):
    """Return an event as the contract shapes it."""
    return {
        "cursor": cursor(place), "taskId": task_id, "attempt": attempt, "type": kind,
        "at": AT, "data": data,
    }  # fmt: skip


def cursor(place):
    return f"{place:016x}"


def no_answers():
    """Return a place for answers in which there are none yet."""
    clock = SystemClock()
    return TieredAnswers(Terms(), clock, InMemoryShelf(clock))


class Script:
    """What one task says, when the test says so."""

    def __init__(self, task_id, user=None):
        self.task_id, self.user = task_id, user
        self.events, self.readers, self.failure = [], 0, None
        self._changed = asyncio.Event()

    def say(self, kind, data=None, attempt=1):
        self.events.append(event(self.task_id, len(self.events), kind, data, attempt))
        self._wake()

    def fail(self, failure):
        """Break off everybody who reads."""
        self.failure = failure
        self._wake()

    def _wake(self):
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, readers):
        """Wait until so many read."""
        async with asyncio.timeout(5):
            while self.readers != readers:
                await self._changed.wait()

    async def read(self, after):
        self.readers += 1
        self._wake()
        place = -1 if after is None else int(after, 16)
        try:
            while True:
                for told in self.events[place + 1 :]:
                    place = int(told["cursor"], 16)
                    yield told
                if self.failure:
                    raise self.failure
                if self.events and self.events[-1]["type"] in ENDS:
                    return
                await self._changed.wait()
        finally:
            self.readers -= 1
            self._wake()


class Told:
    """The door's tasks; those that nobody submitted say what a script holds."""

    def __init__(self, door):
        self._door, self.scripts = door, {}
        self.submit, self.submit_many, self.get = door.submit, door.submit_many, door.get
        self.cancel, self.supervisors, self.feed = door.cancel, door.supervisors, door.feed

    def script(self, user=None):
        """Return what a task that nobody submitted says."""
        task_id = new_id()
        self.scripts[task_id] = Script(task_id, user)
        return self.scripts[task_id]

    def events(self, task_id, who, after=None):
        if task_id in self.scripts:
            return self._scripted(self.scripts[task_id], who, after)
        return self._door.events(task_id, who, after)

    async def _scripted(self, script, who, after):
        if script.user not in (None, who.user) and not who.admin:
            raise NotFound(f"There is no task {script.task_id!r} of yours.")
        if after is not None and len(after) != 16:
            raise InvalidParameters(f"{after!r} is no cursor.", fields=[("cursor", "is not one")])
        async with aclosing(script.read(after)) as reading:
            async for told in reading:
                yield told


class Ward:
    """Quarantined tasks, kept in a list, newest first."""

    def __init__(self, door):
        self._door, self.rows = door, []

    def admit(self, user, **fields):
        """Put a task into quarantine and return its id."""
        task_id = new_id()
        row = {"taskId": task_id, "taskType": "system.echo", "user": user, "tenant": user}
        row |= {"shard": "system/0", "acceptedAt": AT, "endedAt": AT, "settled": None}
        row |= {"retriedAs": None, "parameters": {"payload": 1}, **fields}
        self.rows.insert(0, row)
        return task_id

    def _find(self, task_id, who):
        for row in self.rows:
            if row["taskId"] == task_id and (who.admin or row["user"] == who.user):
                return row
        raise NotFound(f"No task {task_id!r} of yours is quarantined.")

    async def list(self, who, limit, before):
        mine = [row for row in self.rows if who.admin or row["user"] == who.user]
        waiting = [row for row in mine if row["settled"] is None]
        return [row for row in waiting if before is None or row["taskId"] < before][:limit]

    async def inspect(self, task_id, who):
        row = self._find(task_id, who)
        response = {"taskId": task_id, "status": "FAILED", "reason": "QUARANTINED"}
        story = [event(task_id, 0, "accepted"), event(task_id, 1, "failed", response)]
        told = {"delivery": "AT_LEAST_ONCE", "attempts": 3, "response": response, "story": story}
        return {**row, **told}

    async def retry(self, task_id, who, parameters):
        row = self._find(task_id, who)
        if row["settled"]:
            raise InvalidParameters(f"Task {task_id!r} was {row['settled']} before.")
        given = row["parameters"] if parameters is None else parameters
        request = TaskRequest(task_type=row["taskType"], parameters=given)
        answer = await self._door.submit(request, who, wait=False)
        row["settled"] = "retried"
        return {"taskId": answer["taskId"], "status": answer["status"], "retryOf": task_id}

    async def discard(self, task_id, who):
        row = self._find(task_id, who)
        done = row["settled"] is None
        row["settled"] = row["settled"] or "discarded"
        return done


class Bridge:
    """Takes commands, does nothing, and keeps a record."""

    def __init__(self):
        self.orders, self.entries = [], []

    async def command(self, command, target, arguments, who):
        self.orders.append((command, target, arguments, who.user))
        entry = {"id": len(self.entries) + 1, "at": AT, "actor": who.user, "action": command}
        self.entries.insert(0, {**entry, "target": target, "detail": arguments, "outcome": "ok"})
        if target == "nowhere":
            error: CartritaError = NotFound(f"There is nothing called {target!r}.")
            self.entries[0]["outcome"] = error.code
            raise error
        results = [{"id": target, "ok": not target.startswith("agent:"), "state": "up"}]
        return {"command": command, "target": target, "results": results}

    def note(self, entry):
        """Keep what somebody else noted."""
        self.entries.insert(0, {**asdict(entry), "id": len(self.entries) + 1, "at": AT})

    async def audit(self, limit, before):
        return [e for e in self.entries if before is None or e["id"] < before][:limit]


class AuditOf:
    """The log of commands that a bridge keeps."""

    def __init__(self, bridge):
        self._bridge = bridge

    async def note(self, entry):
        self._bridge.note(entry)
