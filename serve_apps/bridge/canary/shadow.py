"""Asks the side that did not answer, and compares, in the background."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from cartrita.bridge.compare import Answer, breaking, differences
from cartrita.bridge.share import Side
from cartrita.clock import Clock, iso
from cartrita.errors import CartritaError, ServiceUnavailable
from cartrita.storage.bridge import Compared, Comparisons
from cartrita.telemetry.log import get_logger
from cartrita.telemetry.metrics import BRIDGE_COMPARED, labelled

log = get_logger(__name__)

AT_ONCE = 2
"""Comparisons under way; the others wait in line."""

EVERY = 2.0
"""Seconds between two writings of what was found."""

Outcome = Literal["same", "different", "failed", "left_out"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A call that was answered, to be asked of the other side.

    Attributes:
        answered: Who answered it.
        ask: Has the other side answer, too; None for what cannot be compared.
    """

    route: str
    answered: Side
    answer: Answer
    ask: Callable[[], Awaitable[Answer | None]] = field(repr=False)


class Findings:
    """Counts by route, written down every now and then; bounded by the table of routes."""

    def __init__(self, kept: Comparisons, clock: Clock) -> None:
        self._kept, self._clock = kept, clock
        self._rows: dict[str, Compared] = {}

    def count(self, route: str, outcome: Outcome) -> None:
        """Count a comparison."""
        row = self._rows.get(route) or Compared(route)
        self._rows[route] = replace(row, **{outcome: getattr(row, outcome) + 1})
        labelled(BRIDGE_COMPARED, outcome).inc()

    def compare(self, pair: Pair, other: Answer) -> None:
        """Count a comparison, and keep what is different."""
        v2, bridge = pair.answer, other
        if pair.answered is Side.BRIDGE:
            v2, bridge = bridge, v2
        found = differences(v2, bridge)
        self.count(pair.route, "different" if breaking(found) else "same")
        if found:
            told = [one.to_wire() for one in found]
            sample = {"at": iso(self._clock.now()), "answered": pair.answered, "differences": told}
            if breaking(found) or self._rows[pair.route].sample is None:
                self._rows[pair.route] = replace(self._rows[pair.route], sample=sample)

    async def write(self) -> None:
        """Write down what was found since the last time."""
        rows, self._rows = self._rows, {}
        if not rows:
            return
        try:
            await self._kept.add(list(rows.values()))
        except ServiceUnavailable as error:
            log.warning("comparisons_lost", routes=len(rows), error=error.message)


class Shadow:
    """Compares answered calls, as many as there is room for. Belongs to one event loop.

    Args:
        room: Calls that may wait.
        timeout: Seconds for the other side's answer.
    """

    def __init__(self, findings: Findings, room: int, timeout: float) -> None:
        self.findings, self.timeout = findings, timeout
        self._line: asyncio.Queue[Pair] = asyncio.Queue(room)

    def put(self, pair: Pair) -> None:
        """Have a call compared; one for which there is no room is counted and left out."""
        try:
            self._line.put_nowait(pair)
        except asyncio.QueueFull:
            self.findings.count(pair.route, "left_out")

    async def settled(self) -> None:
        """Wait until all that was put in is compared."""
        await self._line.join()

    async def run(self) -> None:
        """Compare until cancelled, then write down what was found."""
        works: Iterable[asyncio.Task[None]] = [
            *(asyncio.create_task(self._work()) for _ in range(AT_ONCE)),
            asyncio.create_task(self._write()),
        ]
        try:
            await asyncio.gather(*works)
        finally:
            for work in works:
                work.cancel()
            await self.findings.write()

    async def _work(self) -> None:
        while True:
            pair = await self._line.get()
            try:
                await self._compare(pair)
            finally:
                self._line.task_done()

    async def _compare(self, pair: Pair) -> None:
        failed = partial(self.findings.count, pair.route, "failed")
        try:
            async with asyncio.timeout(self.timeout):
                other = await pair.ask()
        except (CartritaError, TimeoutError, OSError):
            failed()
        except Exception:
            log.exception("comparison_failed", route=pair.route)
            failed()
        else:
            if other is None:
                failed()
            else:
                self.findings.compare(pair, other)

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self.findings.write()
