"""Only those with a scope for a task type may run it."""

from typing import Any

from cartrita.errors import AuthorizationFailed
from cartrita.policy.chain import Job, Proceed


class Authorize:
    """Asks the principal's scopes for `tasks:<task type>`."""

    async def __call__(self, job: Job, proceed: Proceed) -> Any:
        """Refuse what no scope covers; a hidden task is a part of one that was looked at."""
        permission = f"tasks:{job.spec.name}"
        if not job.spec.hidden and not job.context.principal.may(permission):
            raise AuthorizationFailed(f"These credentials do not cover {permission!r}.")
        return await proceed(job)
