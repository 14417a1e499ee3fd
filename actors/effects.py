"""The effects of the tasks that run in one shard, from their agents to the ledger and back."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from actors.cell import Act, Cell
from actors.slot import Host
from cartrita.clock import Clock
from cartrita.effects import Finding, State, from_json, to_json
from cartrita.errors import CartritaError, InternalFailure, ResourceLimitExceeded
from cartrita.ledger import Intent, Ledger

MOST_EFFECTS = 1000
"""Effects one task may have."""

CALM = 1.0
"""Seconds after a shard was taken in which nobody asks whether what a predecessor's attempt had
begun happened: its hosts die with it, a tenth of a second later, and may act until then."""

ANSWER_TIMEOUT = 30.0


class Effects:
    """Carries what agents ask of the ledger.

    Args:
        ledger: This shard's; without one no task has effects.
        failed: Told of each write that failed.
    """

    def __init__(
        self, ledger: Ledger | None, clock: Clock, failed: Callable[[BaseException], None]
    ) -> None:
        self._ledger, self._clock, self._failed = ledger, clock, failed
        self._calm_at = clock.monotonic() + CALM

    @property
    def ledger(self) -> Ledger:
        """This shard's.

        Raises:
            InternalFailure: There is none.
        """
        if self._ledger is None:
            raise InternalFailure("This supervisor has no ledger of effects.")
        return self._ledger

    def ask(self, cell: Cell, host: Host, payload: list[Any]) -> None:
        """Have written what an agent is about to do, or did."""
        index, verb, name, key, *told = payload
        intent = Intent.of(cell.record, cell.attempts, name, key)
        to = (host, cell.record.task_id, cell.attempts, index)
        try:
            if verb == "begin":
                act = self._about_to(cell, intent)
                work = self._begun(to, act, self.ledger.begin(intent))
            else:
                work = self._ended(to, self._did(cell, intent, *told))
        except CartritaError as error:
            work = _tell(to, {"error": error.to_wire()})
        cell.asking = cell.asking or set()
        task = asyncio.create_task(work)
        cell.asking.add(task)
        task.add_done_callback(cell.asking.discard)

    def _about_to(self, cell: Cell, intent: Intent) -> Act:
        cell.acts = cell.acts or {}
        act = cell.acts.get(intent.id)
        if act is None:
            if len(cell.acts) >= MOST_EFFECTS:
                raise ResourceLimitExceeded(f"A task may have {MOST_EFFECTS} effects.")
            act = cell.acts[intent.id] = Act(intent.id, intent.name)
        act.intent, act.asked = intent, True
        return act

    def _did(
        self, cell: Cell, intent: Intent, of: str, state: str, result: str
    ) -> asyncio.Future[Finding]:
        finding = Finding(State(state), from_json(result))
        if cell.acts and intent.id in cell.acts:
            cell.acts[intent.id].state = finding.state
        return self.ledger.end(intent, finding, of=State(of))

    async def _begun(self, to: "_To", act: Act, asked: asyncio.Future[Finding]) -> None:
        try:
            found = await asked
        except CartritaError as error:
            await self._refuse(to, error)
            return
        # From here on it may act, for all we know.
        act.asked, act.state = False, found.state
        if found.state is State.UNKNOWN:
            await asyncio.sleep(self._calm_at - self._clock.monotonic())
        await _tell(to, _wire(found))

    async def _ended(self, to: "_To", asked: asyncio.Future[Finding]) -> None:
        try:
            found = await asyncio.shield(asked)  # it is written whether or not anybody waits
        except CartritaError as error:
            await self._refuse(to, error)
        else:
            await _tell(to, _wire(found))

    async def _refuse(self, to: "_To", error: CartritaError) -> None:
        self._failed(error)
        await _tell(to, {"error": error.to_wire()})

    def over(self, cell: Cell) -> None:
        """Note that an attempt is over: what it had begun and not ended is unknown."""
        for task in list(cell.asking or ()):
            task.cancel()
        for act in (cell.acts or {}).values():
            if act.intent and act.asked:  # it was never told that it may
                act.asked = False
                self.ledger.end(act.intent, Finding.not_done(), of=State.BEGUN)
            elif act.intent and act.state is State.BEGUN:
                act.state = State.UNKNOWN
                self.ledger.end(act.intent, Finding.unknown(), of=State.BEGUN)

    async def inherit(self, cells: Sequence[Cell]) -> None:
        """Learn what attempts under earlier supervisors left, for tasks that have effects.

        Raises:
            ServiceUnavailable: The ledger cannot be reached.
        """
        by_root = {cell.record.root or cell.record.task_id: cell for cell in cells}
        past = await self.ledger.past(list(by_root)) if by_root else {}
        for root, cell in by_root.items():
            cell.acts = {one.id: Act(one.id, one.name, one.state) for one in past.get(root, ())}

    async def close(self) -> None:
        """Write what is queued."""
        if self._ledger is not None:
            await self._ledger.close()


_To = tuple[Host, str, int, int]
"""Whom an answer is for: a host, and there a task, its attempt, and the number of what it asked."""


def _wire(found: Finding) -> dict[str, Any]:
    return {"state": found.state.value, "result": to_json(found.result)}


async def _tell(to: _To, answer: dict[str, Any]) -> None:
    host, *where = to
    with suppress(CartritaError):  # a host that is gone needs no answer
        await host.channel.request("settled", [*where, answer], ANSWER_TIMEOUT)
