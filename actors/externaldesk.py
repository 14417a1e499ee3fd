"""What administrators do about external agents: register, look, remove."""

from collections.abc import Mapping
from typing import Any

from cartrita.catalog import Catalog
from cartrita.clock import Clock, new_id
from cartrita.errors import InvalidParameters, NotFound
from cartrita.external.registration import Registration
from cartrita.external.registry import Registered, Registry
from cartrita.protocol.principal import Principal
from cartrita.roster import Roster
from cartrita.storage.runtime import Audit, AuditEntry

REGISTER, REMOVE = "REGISTER_AGENT", "REMOVE_AGENT"
"""What the audit log calls them."""


class ExternalDesk:
    """Where external agents are registered and removed. Lives beside the door.

    Args:
        declared: The agents whose names and task types nobody else may have.
        registry: Where registrations are kept.
        roster: The door's, which hears of a change at once.
        audit: Where each change is noted.
    """

    def __init__(
        self, declared: Catalog, registry: Registry, roster: Roster, audit: Audit, clock: Clock
    ) -> None:
        self._declared, self._registry, self._roster = declared, registry, roster
        self._audit, self._clock = audit, clock

    async def catalog(self) -> Catalog:
        """Return the catalogue with all external agents."""
        return await self._roster.catalog()

    async def agents(self) -> Mapping[str, Registered]:
        """Return the external agents by their names."""
        return await self._roster.agents()

    async def register(self, told: Registration, who: Principal) -> bool:
        """Register an agent, in place of the one with its name; True when there was none.

        Raises:
            InvalidParameters: The name or a task type is taken.
        """
        wrong = self._taken(told)
        if wrong:
            raise InvalidParameters(f"{wrong[0][1]}.", fields=wrong)
        secret = told.authentication.secret.get_secret_value() if told.authentication else None
        one = Registered(told, new_id(), who.user, self._clock.now(), secret=secret)
        new = await self._registry.put(one)
        self._roster.forget()
        types = [item.task_type for item in told.task_types]
        detail = {"endpoint": told.endpoint, "taskTypes": types}
        await self._note(REGISTER, told.name, who, "done" if new else "replaced", detail)
        return new

    def _taken(self, told: Registration) -> list[tuple[str, str]]:
        """Return which of its names are built in."""
        wrong = []
        if told.name in self._declared.agents:
            wrong.append(("name", f"An agent called {told.name!r} is built in"))
        for place, item in enumerate(told.task_types):
            if item.task_type in self._declared.names:
                text = f"The task type {item.task_type!r} is built in"
                wrong.append((f"taskTypes.{place}.taskType", text))
        return wrong

    async def remove(self, name: str, who: Principal) -> None:
        """Remove an agent; its calls under way end by themselves.

        Raises:
            InvalidParameters: It is built in.
            NotFound: There is none.
        """
        if name in self._declared.agents:
            raise InvalidParameters(
                f"The agent {name!r} is built in: the command SHUTDOWN stops it.",
                fields=[("name", "is built in")],
            )
        if not await self._registry.remove(name):
            raise NotFound(f"No external agent is called {name[:255]!r}.")
        self._roster.forget()
        await self._note(REMOVE, name, who, "done", {})

    async def _note(
        self, action: str, name: str, who: Principal, outcome: str, detail: dict[str, Any]
    ) -> None:
        now = self._clock.now()
        entry = AuditEntry(now, who.user, action, f"agent:{name}", outcome, detail)
        await self._audit.note(entry)
