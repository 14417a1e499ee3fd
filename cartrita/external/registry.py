"""Where registrations are kept, and how their agents are."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from cartrita.errors import InvalidParameters
from cartrita.external.registration import Registration

Standing = Literal["starting", "up", "quarantined"]


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration that holds.

    Attributes:
        registration: What was told, but for the secret, which is masked in it.
        revision: Another one with each registration under the name.
        by: Who registered it.
        at: Unix seconds.
        checked_at: When its health was last looked at, in Unix seconds.
        detail: What that look found.
        suspected: How often calls failed so that its health should be looked at.
        secret: Only `Registry.serving` tells.
    """

    registration: Registration
    revision: str
    by: str
    at: float
    standing: Standing = "starting"
    checked_at: float | None = None
    detail: str = ""
    suspected: int = 0
    secret: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.registration.name


class Registry(Protocol):
    """External agents; outlives the tree. Raises `ServiceUnavailable`."""

    async def all(self) -> list[Registered]:
        """Return every agent by its name, without secrets."""

    async def serving(self, task_type: str) -> Registered | None:
        """Return the agent of a task type, with its secret."""

    async def named(self, name: str) -> Registered | None:
        """Return an agent, with its secret."""

    async def put(self, one: Registered) -> bool:
        """Keep a registration, in place of the one with this name; True when there was none.

        Raises:
            InvalidParameters: Another agent has one of its task types.
        """

    async def remove(self, name: str) -> bool:
        """Forget an agent; False when there is none."""

    async def note(
        self, name: str, revision: str, standing: Standing, at: float, detail: str
    ) -> None:
        """Keep how an agent is, unless it was registered anew meanwhile."""

    async def suspect(self, name: str) -> None:
        """Have an agent's health looked at soon."""


def taken(task_type: str, agent: str) -> InvalidParameters:
    """Return the refusal of a task type that is another agent's."""
    return InvalidParameters(
        f"The task type {task_type!r} is the agent {agent!r}'s.",
        fields=[("taskTypes", f"{task_type!r} is the agent {agent!r}'s")],
    )
