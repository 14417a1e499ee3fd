"""What must be true in the end, whatever the seed did."""

from collections import Counter
from typing import Any

from cartrita.effects import State, effect_id
from cartrita.errors import ErrorCode, Reason
from cartrita.history import violations
from cartrita.journal import Event, TaskState, fold
from cartrita.protocol.task import Delivery, TaskStatus
from cartrita.story import cursor_of, narrate
from cartrita.uses import uses
from tests.simulator.agents import CATALOG, KEYS
from tests.simulator.clients import CERTAIN, Caller
from tests.simulator.loop import Process
from tests.simulator.machine import EPOCH
from tests.simulator.scenario import Scenario
from tests.simulator.world import SupervisorLife, World

LATE = 20.0
"""Seconds after its deadline, or after the quiet, by which a task must have ended."""

CALLERS_LATE = 120.0

SAID = ("token", "progress", "tool")

MOST = 10
"""Attempts that no task comes to."""

RESIDENT = {
    "Orchestrator._keep",
    "Orchestrator._listen",
    "Orchestrator._revive",
    "Slot._run",
    "Slot._beat",
    "Fleet._tick",
    "Door.follow",
    "SupervisorLife._die_when_fenced",
    "Errand.run",
}
"""The tasks that run in an idle tree."""


UNTIL_DEATH = {"Door.follow", "SupervisorLife._die_when_fenced", "Errand.run"}
"""What runs in a supervisor's process until that ends."""


class Checks:
    """Looks at a world that has gone quiet and collects what is wrong."""

    def __init__(self, world: World, scenario: Scenario, callers: list[Caller]) -> None:
        self._world, self._scenario, self._callers = world, scenario, callers
        self._stories = world.database.tables.stories
        self._ended: set[str] = set()
        self.wrong: list[str] = []

    def _hold(self, true: Any, *what: Any) -> None:
        if not true:
            self.wrong.append(" ".join(map(str, what)))

    def settled(self) -> bool:
        """Tell whether everything that was accepted has ended and everybody was answered."""
        asked = all(caller.done for caller in self._callers)
        return asked and not self._open() and not self._blocked()

    def _open(self) -> list[str]:
        """Return the accepted tasks without an end."""
        found = []
        for task_id, story in self._stories.items():
            if task_id in self._ended:
                continue
            if any(event.kind.terminal for event in story):
                self._ended.add(task_id)
            else:
                found.append(task_id)
        return found

    def _blocked(self) -> list[Process]:
        """Return the processes that block and whom nobody has ended yet."""
        return [one for one in self._world.processes if one.alive and one.frozen]

    def late(self) -> bool:
        """Tell whether something should have ended long ago; it is noted as wrong."""
        now, quiet = self._world.loop.elapsed, self._scenario.quiet
        for task_id in self._open():
            state = fold(self._stories[task_id])
            assert state
            due = max(state.record.deadline - EPOCH, quiet) + LATE
            self._hold(now < due, "no end:", task_id, state.record.task_type, state.status)
        for process in self._blocked():
            due = max(process.frozen_at, quiet) + LATE
            self._hold(now < due, "blocks and is not ended:", process.name)
        for caller in self._callers:
            due = max(caller.ask.at, quiet) + CALLERS_LATE
            self._hold(caller.done or now < due, "still waits:", caller.ask.task_id)
        if self.wrong:
            self._failures()
        return bool(self.wrong)

    def all(self) -> list[str]:
        """Return all that is wrong."""
        self.late()
        ordered = [sorted(story, key=lambda event: event.step) for story in self._stories.values()]
        self._history(ordered)
        for story in ordered:
            self._story(story[0].task_id, story)
        for task_id in self._world.sink.runs:
            self._hold(task_id in self._stories, "ran and was never accepted:", task_id)
        for caller in self._callers:
            self._caller(caller)
        self._effects()
        self._intensity()
        self._failures()
        return self.wrong

    def rest(self) -> list[str]:
        """Return what is not at rest: it may come to rest in a moment."""
        before, self.wrong = self.wrong, []
        for life in self._world.supervisors():
            if life.info:
                self._accounts(life)
                self._orphans(life)
        for process in self._world.processes:
            if process.alive:
                self._leaks(process)
        odd, self.wrong = self.wrong, before
        return odd

    def stopped(self) -> list[str]:
        """Return what is wrong after everything was told to stop."""
        self.wrong = []
        for life in self._world.lives.values():
            odd = [name for name in life.remains if name not in UNTIL_DEATH]
            self._hold(not odd, "goes on after its stop:", life.process.name, odd)
        for process in self._world.processes:
            ended = not process.alive or process.name.startswith(("orchestrator", "gateway"))
            self._hold(ended, "was not ended:", process.name)
        self._failures()
        return self.wrong

    def _failures(self) -> None:
        """Nothing may end up in the loop's exception handler."""
        for failure in self._world.loop.failures:
            self._hold(False, "exception:", failure.get("message"), repr(failure.get("exception")))

    def _history(self, stories: list[list[Event]]) -> None:
        """What the journal has and what callers heard must be one history of each task."""
        heard = [caller.heard for caller in self._callers if caller.followed]
        answers = [caller.answer for caller in self._callers if caller.answer]
        self.wrong += violations([*stories, *heard], answers=answers)

    def _story(self, task_id: str, story: list[Event]) -> None:
        state = fold(story)
        assert state
        runs = self._world.sink.of(task_id)
        attempts = [(run.process.owner.born, run.attempt) for run in runs if run.process.owner]
        self._hold(attempts == sorted(attempts), "attempts out of order:", task_id, attempts)
        if state.record.delivery is Delivery.AT_MOST_ONCE:
            self._hold(len(runs) <= 1, "ran", len(runs), "times at most once:", task_id)
        if state.status is TaskStatus.COMPLETED:
            self._hold(any(r.how == "done" for r in runs), "completed and never done:", task_id)
        self._hold(
            not [run for run in runs if run.alive and run.deed != "stubborn"],
            "still runs after its end:",
            task_id,
        )
        # One that calls others ends as they do, if it lets their errors through.
        if state.status is TaskStatus.TIMEOUT and state.record.params["deed"] != "calls":
            early = story[-1].at - state.record.deadline
            self._hold(early > -0.01, "timed out early:", task_id, early)
        self._uses(story, state)
        self._blameless(task_id, state)

    def _uses(self, story: list[Event], state: TaskState) -> None:
        """What was used is told by whoever used it, and of the attempt that completed all is."""
        told = [(use.attempt, use.data["model"]) for use in uses(story)]
        odd = [use for use in told if str(use[0]) != use[1]]
        self._hold(not odd, "used in another attempt:", state.record.task_id, odd)
        params = state.record.params
        always = params["deed"] == "talks" and params.get("until", MOST) >= MOST
        if always and state.status is TaskStatus.COMPLETED:
            self._hold(told, "completed and used nothing:", state.record.task_id)

    def _blameless(self, task_id: str, state: TaskState) -> None:
        """Where nothing goes wrong, every task comes to the end that its deed asks for."""
        record, response = state.record, state.response
        if self._scenario.faults or self._scenario.harsh or response is None or record.parent:
            return
        if any(c.ask.cancels is not None for c in self._callers if c.ask.task_id == task_id):
            return
        wanted = "FAILED" if record.params["deed"] == "fails" else "COMPLETED"
        if record.params["deed"] in ("bounces", "static"):  # it may be refused too often
            return
        if response["status"] == "TIMEOUT":  # it may have waited too long, or be too slow
            return
        self._hold(response["status"] == wanted, "ended as", response["status"], task_id)

    def _caller(self, caller: Caller) -> None:
        ask, answer = caller.ask, caller.answer
        name = f"{ask.task_id} ({ask.task_type} {ask.deed})"
        if answer is not None:
            state = fold(self._stories.get(answer["taskId"], []))
            self._hold(state, "answered for a task nobody has:", name, answer)
            if state:
                self._hold(answer == state.response, "answered otherwise:", name, answer)
        elif not caller.left:
            self._hold(caller.refusal is not None, "never answered:", name, caller.errors)
        if caller.refusal and not (caller.unsure or ask.twin or ask.key):
            self._hold(ask.task_id not in self._stories, "refused and accepted:", name)
        if caller.refusal and caller.refusal.code not in (*CERTAIN, ErrorCode.TASK_TIMEOUT):
            running = caller.refusal.reason == Reason.STILL_RUNNING
            self._hold(running, "gave up:", name, caller.errors)
        if caller.ask.follows is not None:
            self._events(caller, name)
        if caller.cancelled:
            end = self._stories[ask.task_id][-1]
            self._hold(end.kind.terminal, "cancelled and goes on:", name)

    def _events(self, caller: Caller, name: str) -> None:
        """Whoever follows a task hears what its story tells, without a gap or a repeat.

        Beyond that it may have heard what an agent said just before its supervisor died.
        """
        story = sorted(self._stories.get(caller.ask.task_id, []), key=lambda event: event.step)
        if not story:
            self._hold(not caller.heard, "heard of a task nobody has:", name)
            return
        told = [(cursor_of(e.step), e.type, e.data) for e in narrate(story)]
        heard = [(e["cursor"], e["type"], e["data"]) for e in caller.heard]
        if any(not life.alive for life in self._world.processes if "/0#" in life.name):
            heard = [event for event in heard if event in told or event[1] not in SAID]
        self._hold(heard == told, "heard otherwise:", name, "\n   ", heard, "\n   ", told)

    def _effects(self) -> None:
        """No effect may happen twice, none be missing, and the ledger must know each that did."""
        mail, ledger = self._world.sink.mail, self._world.database.tables.effects
        for key, count in mail.items():
            self._hold(count == 1, "happened", count, "times:", key)
            self._hold(key in ledger, "happened and was never begun:", key)
        for key, entry in ledger.items():
            state, task_id = entry.row.state, entry.row.task_id
            told = {State.DONE: 1, State.NOT_DONE: 0}.get(state, mail.get(key, 0))
            self._hold(mail.get(key, 0) == told, "is", state, "in the ledger:", key, task_id)
        for task_id, story in self._stories.items():
            state = fold(story)
            assert state
            if CATALOG.task(state.record.task_type).effects:
                self._effects_of(task_id, state)

    def _effects_of(self, task_id: str, state: TaskState) -> None:
        mail, ledger = self._world.sink.mail, self._world.database.tables.effects
        (name,) = CATALOG.task(state.record.task_type).effects
        ids = [effect_id(task_id, name, key) for key in KEYS]
        rows = [ledger[key].row.state for key in ids if key in ledger]
        response = state.response or {}
        reason = response.get("reason")
        if state.status is TaskStatus.COMPLETED:
            self._hold(all(mail.get(key) for key in ids), "completed without effect:", task_id)
            self._hold(rows == [State.DONE] * 2, "completed with", rows, task_id)
        doubt = State.UNKNOWN in rows or State.BEGUN in rows
        if doubt:
            known = reason in (Reason.OUTCOME_UNKNOWN, Reason.QUARANTINED)
            self._hold(known, "nobody was told of the doubt:", task_id, reason)
        elif state.record.delivery is not Delivery.AT_MOST_ONCE or rows:
            self._hold(reason != Reason.OUTCOME_UNKNOWN, "there is no doubt:", task_id, rows)
        if reason == Reason.HOST_DIED and response.get("retryable"):
            self._hold(not any(mail.get(key) for key in ids), "it had effects:", task_id)

    def _accounts(self, life: SupervisorLife) -> None:
        """Everything counted must be back at zero."""
        supervisor, fleet = life.supervisor, life.supervisor.fleet
        counts: dict[str, Any] = {
            "waiting": len(supervisor._mailbox),
            "cells": len(supervisor._cells),
            "arriving": supervisor._arriving,
            "running": supervisor._attempts.running,
            "suspended": supervisor._attempts.suspended,
        }
        for crew in fleet.crews.values():
            counts[f"{crew.group.name} suspects"] = len(crew.suspects)
            for slot in crew.all_slots():
                if slot.host:
                    busy = sum(slot.host.busy.values())
                    counts[slot.name] = busy + slot.host.in_flight + slot.host.residents
                    # The pulse may be on its way.
                    counts[f"{slot.name} requests"] = max(slot.host.channel.in_flight - 1, 0)
        odd = {name: count for name, count in counts.items() if count}
        self._hold(not odd, "accounts of", life.process.name, odd)
        self._hold(supervisor.state == "up", life.process.name, "is", supervisor.state)

    def _leaks(self, process: Process) -> None:
        """Nothing may run in an idle process that does not belong there."""
        names = Counter(process.names())
        stubborn = any(
            run.process is process and run.alive and run.deed == "stubborn"
            for runs in self._world.sink.runs.values()
            for run in runs
        )
        if not stubborn:
            odd = {name: count for name, count in names.items() if name not in RESIDENT}
            self._hold(not odd, "leaked in", process.name, odd)

    def _intensity(self) -> None:
        """No slot may start more hosts within a period than its agents' intensity allows."""
        if self._scenario.replaces:
            return  # hosts that are replaced on purpose do not count
        slots: dict[tuple[str, str], list[float]] = {}
        for at, owner, host in self._world.starts:
            if ".ward." not in host:  # a ward dies as often as its suspect kills it
                slots.setdefault((owner, host.rpartition(".")[0]), []).append(at)
        for (owner, slot), times in slots.items():
            group = slot.split(".")[1]
            first = "steady" if group == "shared" else group
            agent = CATALOG.agents[first]
            most = agent.intensity + 1
            for begin, end in zip(times, times[most:], strict=False):
                self._hold(end - begin > agent.period, "too many restarts:", owner, slot, times)

    def _orphans(self, life: SupervisorLife) -> None:
        """Every host that runs must be in a slot of its supervisor's."""
        held = {
            slot.host.handle._process
            for crew in life.supervisor.fleet.crews.values()
            for slot in (*crew.all_slots(), *crew._leaving)
            if slot.host
        }
        for process in self._world.processes:
            if process.owner is life.process and process.alive:
                self._hold(process in held, "runs and nobody has it:", process.name)
