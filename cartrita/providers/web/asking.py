"""What all services on the web that operators name have in common: how they are asked."""

import json
from typing import Any

import httpx

from cartrita.egress.client import Answer, Bounds, Egress
from cartrita.egress.policy import named_by_operators
from cartrita.errors import (
    AgentFailed,
    CartritaError,
    ConfigurationInvalid,
    NetworkFailed,
    RateLimitExceeded,
)
from cartrita.protocol.patience import seconds_to_wait

JSON = ("application/json", "*+json")
_PASSING = frozenset({408, 425, 500, 502, 503, 504})


def to_services(user_agent: str, seconds: float = 15.0) -> Egress:
    """Return a client for addresses that operators name; no redirect takes a key elsewhere."""
    bounds = Bounds(seconds=seconds, redirects=0)
    return Egress(named_by_operators(), user_agent=user_agent, bounds=bounds)


def parsed(answer: Answer, service: str, setting: str) -> Any:
    """Return the JSON that a service answered.

    Args:
        answer: What came.
        service: Its name, for people.
        setting: What to look at when it does not know us.

    Raises:
        RateLimitExceeded: We have asked too often.
        ConfigurationInvalid: It does not accept our key.
        NetworkFailed: It is not well.
        AgentFailed: It does not understand, or we do not.
    """
    if not answer.ok:
        raise refusal(answer, service, setting)
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise AgentFailed(f"{service} answered something that is no JSON: {error}") from None


def refusal(answer: Answer, service: str, setting: str) -> CartritaError:
    """Return the error that a service's status means."""
    if answer.status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return ConfigurationInvalid(
            f"{service} answered {answer.status}: look at the setting {setting}."
        )
    if answer.status == httpx.codes.TOO_MANY_REQUESTS:
        wait = seconds_to_wait(answer.headers.get("retry-after"))
        return RateLimitExceeded(f"{service} wants us to ask less often.", retry_after=wait)
    if answer.status in _PASSING:
        return NetworkFailed(f"{service} answered {answer.status}.")
    return AgentFailed(f"{service} answered {answer.status}.")


def at(base: str, path: str) -> str:
    """Return an address below a base address."""
    return f"{base.rstrip('/')}/{path}"
