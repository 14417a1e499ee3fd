"""Keeps external agents in this process."""

from dataclasses import replace

from cartrita.external.registration import Registration
from cartrita.external.registry import Registered, Standing, taken


class InMemoryRegistry:
    """Registrations in a dictionary."""

    def __init__(self) -> None:
        self._kept: dict[str, Registered] = {}

    async def all(self) -> list[Registered]:
        """Return every agent by its name, without secrets."""
        return [replace(self._kept[name], secret=None) for name in sorted(self._kept)]

    async def serving(self, task_type: str) -> Registered | None:
        """Return the agent of a task type, with its secret."""
        return next((o for o in self._kept.values() if o.registration.task(task_type)), None)

    async def named(self, name: str) -> Registered | None:
        """Return an agent, with its secret."""
        return self._kept.get(name)

    async def put(self, one: Registered) -> bool:
        """Keep a registration, in place of the one with this name."""
        for item in one.registration.task_types:
            other = await self.serving(item.task_type)
            if other and other.name != one.name:
                raise taken(item.task_type, other.name)
        new = one.name not in self._kept
        masked = Registration.model_validate(one.registration.to_wire())
        self._kept[one.name] = replace(one, registration=masked)
        return new

    async def remove(self, name: str) -> bool:
        """Forget an agent; False when there is none."""
        return self._kept.pop(name, None) is not None

    async def note(
        self, name: str, revision: str, standing: Standing, at: float, detail: str
    ) -> None:
        """Keep how an agent is, unless it was registered anew meanwhile."""
        one = self._kept.get(name)
        if one and one.revision == revision:
            self._kept[name] = replace(one, standing=standing, checked_at=at, detail=detail)

    async def suspect(self, name: str) -> None:
        """Have an agent's health looked at soon."""
        one = self._kept.get(name)
        if one:
            self._kept[name] = replace(one, suspected=one.suspected + 1)
