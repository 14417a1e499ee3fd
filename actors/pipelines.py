"""The order of the policies. This order is architecture: a snapshot test holds it."""

from cartrita.clock import new_random
from cartrita.policy.authorize import Authorize
from cartrita.policy.chain import Policy
from cartrita.policy.deadline import Deadline
from cartrita.policy.retry import Retry


def admission() -> list[Policy]:
    """Return what happens once per task, at the Door."""
    return [Authorize()]


def execution() -> list[Policy]:
    """Return what happens once per attempt, in the worker."""
    return [Deadline(), Retry(new_random())]
