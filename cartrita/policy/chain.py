"""How policies compose: each wraps the next, the last wraps the work."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

from cartrita.context import Context
from cartrita.declare import Params, TaskSpec


@dataclass(slots=True)
class Job:
    """One task on its way through the policies: at the Door, then once per attempt."""

    spec: TaskSpec
    params: Params
    context: Context


Proceed = Callable[[Job], Awaitable[Any]]


class Policy(Protocol):
    """One concern. It may look, refuse by raising, change the job, or retry `proceed`."""

    async def __call__(self, job: Job, proceed: Proceed) -> Any:
        """Do this policy's part around `proceed(job)`."""


@runtime_checkable
class Selective(Protocol):
    """A policy that does nothing for some task types."""

    def concerns(self, spec: TaskSpec) -> bool:
        """Tell whether it could make a difference for a task type."""


def concerning(spec: TaskSpec, policies: Sequence[Policy]) -> list[Policy]:
    """Leave out the policies that make no difference for a task type: a layer costs time."""
    return [p for p in policies if not isinstance(p, Selective) or p.concerns(spec)]


def chain(policies: Sequence[Policy], work: Proceed) -> Proceed:
    """Fold policies around `work`; the first is the outermost."""
    for policy in reversed(policies):
        work = partial(policy, proceed=work)
    return work
