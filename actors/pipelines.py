"""The order of the policies. This order is architecture: a snapshot test holds it."""

from cartrita.clock import new_random
from cartrita.policy.authorize import Authorize
from cartrita.policy.chain import Policy
from cartrita.policy.deadline import Deadline
from cartrita.policy.rate_limit import RateLimit
from cartrita.policy.retry import Retry
from cartrita.rate import Limiter


def admission(limiter: Limiter | None = None) -> list[Policy]:
    """Return what happens once per task, at the Door; without a limiter for sub-tasks."""
    return [Authorize(), *([RateLimit(limiter)] if limiter else [])]


def execution() -> list[Policy]:
    """Return what happens once per attempt, in the worker."""
    return [Deadline(), Retry(new_random())]
