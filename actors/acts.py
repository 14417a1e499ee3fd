"""The effects of one attempt, on their way to the ledger of its supervisor."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from actors.outbox import Line
from cartrita.context import Context
from cartrita.declare import TaskSpec
from cartrita.effects import Doubt, Finding, Register, State, from_json, to_json
from cartrita.errors import CartritaError, InternalFailure, from_wire
from cartrita.telemetry.log import get_logger

log = get_logger(__name__)

FRESH = 5.0
"""Seconds after which a permission to act is asked for again: whoever was stopped in between
may have been given up, and its successor may have acted."""

Probes = Mapping[str, Callable[[Doubt, Context], Awaitable[Finding]]]
"""The agent's own probes, by the effect they can tell of."""


class Acts:
    """How one attempt reaches the ledger.

    Args:
        spec: What its task declares.
        context: The attempt's.
        line: Where the supervisor listens; without one there is no ledger.
        check: Refuses to do anything for an attempt that is over.
    """

    def __init__(
        self,
        spec: TaskSpec,
        probes: Probes,
        context: Context,
        line: Line | None,
        check: Callable[[], None],
    ) -> None:
        self._probes, self._context, self._line, self._check = probes, context, line, check
        self._register = Register(spec.name, spec.effects)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._asked = 0
        self._closed = False

    async def begin(self, name: str, key: str) -> Finding:
        """Ask whether an effect may happen now.

        Raises:
            AgentFailed: The task does not declare it, or it stood here before.
            CartritaError: There is no ledger to write to.
        """
        self._register.enter(name, key)
        found = Finding.not_done()
        try:
            found = await self._permission(name, key)
        finally:
            self._register.note(name, key, found.state)
        return found

    async def _permission(self, name: str, key: str) -> Finding:
        clock = self._context.clock
        while True:
            asked_at = clock.monotonic()
            found = await self._ask("begin", name, key)
            self._check()
            if found.state is not State.BEGUN or clock.monotonic() - asked_at <= FRESH:
                return found

    async def end(self, name: str, key: str, finding: Finding) -> Finding:
        """Write down what became of an effect, and return what stands."""
        found = await self._ask("end", name, key, finding)
        self._register.note(name, key, found.state)
        return found

    def tell(self, name: str, key: str, finding: Finding) -> None:
        """Have that written down without waiting, even when the attempt is being cancelled."""
        if self._line is not None and not self._closed:
            self._line.emit(self._question("end", name, key, finding))
        self._register.note(name, key, finding.state)

    async def probe(self, doubt: Doubt) -> Finding:
        """Ask the agent whether an effect happened; one that fails cannot tell."""
        look = self._probes.get(doubt.name)
        if look is None:
            return Finding.unknown()
        try:
            found = await look(doubt, self._context)
        except Exception as error:  # noqa: BLE001 - whatever it fails with, it does not know
            log.warning("probe_failed", task=self._context.task_id, error=repr(error))
            return Finding.unknown()
        return found if found.state is not State.BEGUN else Finding.unknown()

    def _question(
        self, verb: str, name: str, key: str, finding: Finding | None = None
    ) -> list[Any]:
        index, self._asked = self._asked, self._asked + 1
        told: list[str] = []
        if finding:
            of = self._register.state(name, key)
            told = [of.value, finding.state.value, to_json(finding.result)]
        return ["effect", [index, verb, name, key, *told]]

    async def _ask(self, verb: str, name: str, key: str, finding: Finding | None = None) -> Finding:
        self._check()
        if self._line is None:
            raise InternalFailure("Nobody listens who could keep a ledger of effects.")
        question = self._question(verb, name, key, finding)
        index: int = question[1][0]
        answer = self._waiting[index] = asyncio.get_running_loop().create_future()
        try:
            self._line.emit(question)
            told = await answer
        finally:
            del self._waiting[index]
        if "error" in told:
            error: CartritaError = from_wire(told["error"])
            raise error
        return Finding(State(told["state"]), from_json(told["result"]))

    def answer(self, index: int, told: dict[str, Any]) -> None:
        """Hand over what the ledger says, unless nobody waits for it any more."""
        waiting = self._waiting.get(index)
        if waiting is not None and not waiting.done():
            waiting.set_result(told)

    def close(self) -> None:
        """Ask and tell nothing more."""
        self._closed = True
        for waiting in self._waiting.values():
            waiting.cancel()
