"""How policies compose: each wraps the next, the last wraps the work."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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


def chain(policies: Sequence[Policy], work: Proceed) -> Proceed:
    """Fold policies around `work`; the first is the outermost."""
    for policy in reversed(policies):
        work = _around(policy, work)
    return work


def _around(policy: Policy, inner: Proceed) -> Proceed:
    async def proceed(job: Job) -> Any:
        return await policy(job, inner)

    return proceed
