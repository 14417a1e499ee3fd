"""What operators see and order of the move from v2."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from starlette.types import Scope

from cartrita.clock import Clock, iso
from cartrita.errors import ConfigurationInvalid, ServiceUnavailable
from cartrita.protocol.principal import Principal
from cartrita.storage.bridge import Compared, Comparisons, Switch, Switches
from cartrita.storage.runtime import Audit, AuditEntry
from cartrita.telemetry.log import get_logger
from serve_apps.bridge.canary.sharing import Plan
from serve_apps.bridge.table import Row, Table

log = get_logger(__name__)

LOOK = 0.5
"""Seconds between two looks at the switch."""

ROLLBACK, RESUME, CLEAR = "BRIDGE_ROLLBACK", "BRIDGE_RESUME", "BRIDGE_CLEAR"
"""What the audit log calls them."""


@dataclass(frozen=True, slots=True)
class Books:
    """Where the move is kept."""

    switches: Switches
    comparisons: Comparisons
    audit: Audit


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the settings say, for those who ask."""

    v2_url: str | None = None
    share: float = 1.0
    shadow: str = "off"
    when_away: str = "bridge"


class MigrationDesk:
    """The move from v2, as one gateway knows it. Belongs to one event loop.

    Args:
        wishes: The settings.
        table: Gives the rows, which are read when somebody first asks.
        look: Seconds between two looks at the switch.
    """

    def __init__(
        self,
        books: Books,
        wishes: Wishes,
        table: Callable[[], Table],
        clock: Clock,
        look: float = LOOK,
    ) -> None:
        self._books, self._wishes, self._table = books, wishes, table
        self._clock, self._look = clock, look
        self._switch = Switch()
        self.plan: Plan | None = None

    @property
    def rolled_back(self) -> bool:
        """Whether all is v2's for now."""
        return self._switch.rolled_back

    async def look(self) -> None:
        """See how the switch stands.

        Raises:
            ServiceUnavailable: Nobody can tell; it is taken to stand as before.
        """
        self._switch = await self._books.switches.read()

    async def follow(self) -> None:
        """Do so again and again, for as long as the gateway runs."""
        while True:
            await asyncio.sleep(self._look)
            with suppress(ServiceUnavailable):
                await self.look()

    async def status(self) -> dict[str, Any]:
        """Return the settings, the switch, and how the two sides' answers compared."""
        await self.look()
        if self.plan and self.plan.shadow:
            await self.plan.shadow.findings.write()
        wishes, switch, plan = self._wishes, self._switch, self.plan
        return {
            "v2Url": wishes.v2_url,
            "share": wishes.share,
            "shadow": wishes.shadow,
            "whenAway": wishes.when_away,
            "rolledBack": switch.rolled_back,
            "reason": switch.reason,
            "by": switch.by or None,
            "at": iso(switch.at) if switch.by else None,
            "v2Away": plan.upstream.away if plan else None,
            "comparisons": [_shown(row) for row in await self._books.comparisons.all()],
        }

    async def turn(self, who: Principal, reason: str, *, rolled_back: bool) -> dict[str, Any]:
        """Send everything to v2, or share it out again; returns when all gateways do so.

        A gateway that cannot reach the database goes on as before.

        Raises:
            ConfigurationInvalid: There is no v2.
        """
        if rolled_back and self.plan is None:
            raise ConfigurationInvalid("There is no v2 to go back to: set migration.v2_url.")
        now = self._clock.now()
        self._switch = Switch(rolled_back, reason, who.user, now)
        await self._books.switches.turn(self._switch)
        action = ROLLBACK if rolled_back else RESUME
        log.info("bridge_switched", action=action, by=who.user)
        await self._note(who, action, {"reason": reason})
        await asyncio.sleep(2 * self._look)
        return await self.status()

    async def clear(self, who: Principal) -> None:
        """Begin to count comparisons anew."""
        await self._books.comparisons.clear()
        await self._note(who, CLEAR, {})

    async def _note(self, who: Principal, action: str, detail: dict[str, Any]) -> None:
        entry = AuditEntry(self._clock.now(), who.user, action, "bridge", "done", detail)
        await self._books.audit.note(entry)

    async def routes(self) -> list[dict[str, Any]]:
        """Return what the table says of each route, and which are refused."""
        table = await asyncio.to_thread(self._table)
        rows = [_route(row) for row in table.rows]
        gone = [
            {"route": one.route, "state": "refused", "auth": "nobody", "note": one.why}
            for one in table.refused
        ]
        return rows + gone


def _route(row: Row) -> dict[str, Any]:
    state = "later" if row.later else "served"
    return {"route": row.route, "state": state, "auth": row.auth, "note": row.note}


def _shown(row: Compared) -> dict[str, Any]:
    told = asdict(row)
    told["leftOut"] = told.pop("left_out")
    return told


def plan_of(scope: Scope) -> Plan | None:
    """Return how the gateway that a request came to shares v2's routes out."""
    desk = scope["app"].gate.migration
    return desk.plan if isinstance(desk, MigrationDesk) else None


@asynccontextmanager
async def at_work(desk: MigrationDesk, plan: Plan | None) -> AsyncIterator[MigrationDesk]:
    """Have a desk follow its switch, and its shadow compare, for as long as this is open."""
    working: list[asyncio.Task[None]] = []
    if plan:
        await desk.look()
        desk.plan = plan
        working.append(asyncio.create_task(desk.follow()))
        if plan.shadow:
            working.append(asyncio.create_task(plan.shadow.run()))
    try:
        yield desk
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        if plan:
            await plan.upstream.aclose()
