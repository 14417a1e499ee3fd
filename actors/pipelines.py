"""The order of the policies. This order is architecture: a snapshot test holds it."""

from cartrita.answers import Answers
from cartrita.clock import new_random
from cartrita.policy.authorize import Authorize
from cartrita.policy.cache import Cache
from cartrita.policy.chain import Policy
from cartrita.policy.deadline import Deadline
from cartrita.policy.pii import Pii
from cartrita.policy.quality import Quality
from cartrita.policy.rate_limit import RateLimit
from cartrita.policy.retry import Retry
from cartrita.privacy.masking import DEFAULT, Rules
from cartrita.quality.rules import rulebook
from cartrita.rate import Limiter


def admission(limiter: Limiter | None = None, privacy: Rules = DEFAULT) -> list[Policy]:
    """Return what happens once per task, at the Door; without a limiter for sub-tasks."""
    return [Authorize(), *([RateLimit(limiter)] if limiter else []), Pii(privacy)]


def execution(answers: Answers | None = None) -> list[Policy]:
    """Return what happens once per attempt, in the worker; without answers nothing is kept."""
    kept = [Cache(answers)] if answers else []
    return [Deadline(), Retry(new_random()), *kept, Quality(rulebook())]
