"""Searches GitHub by its REST API."""

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import httpx

from cartrita.clock import Clock
from cartrita.egress.client import Answer, Egress
from cartrita.errors import (
    AgentFailed,
    CartritaError,
    ConfigurationInvalid,
    InvalidParameters,
    RateLimitExceeded,
)
from cartrita.protocol.patience import seconds_to_wait
from cartrita.providers.guarded import Guarded
from cartrita.providers.ports_web import Found, FoundOnGitHub, Kind
from cartrita.providers.web.asking import JSON, at, parsed

KEPT = 300.0
"""Seconds that an answer is given again."""

MOST_KEPT = 500
LONGEST_DESCRIPTION = 1_000
LONGEST_WAIT = 3600.0
TOKEN = "web.github_token"  # noqa: S105 - a setting's name

_FACTS: dict[Kind, dict[str, str]] = {
    "repositories": {
        "stars": "stargazers_count",
        "forks": "forks_count",
        "language": "language",
        "updatedAt": "pushed_at",
        "archived": "archived",
    },
    "code": {"path": "path"},
    "issues": {
        "state": "state",
        "number": "number",
        "comments": "comments",
        "updatedAt": "updated_at",
    },
    "users": {"type": "type"},
}
_NAME: dict[Kind, tuple[str, str]] = {
    "repositories": ("full_name", "description"),
    "code": ("name", "path"),
    "issues": ("title", "body"),
    "users": ("login", "bio"),
}


class GitHub:
    """GitHub's search, with the answers of the last five minutes kept.

    Args:
        egress: What asks; closed with this.
        base: The address of its API.
        token: Ours; code is found with one only. What it may see, every caller finds.
        guard: What calls go out through.
    """

    def __init__(
        self,
        egress: Egress,
        clock: Clock,
        base: str,
        token: str | None = None,
        *,
        guard: Guarded,
    ) -> None:
        self._egress, self._clock, self._base, self._token = egress, clock, base, token
        self._guard = guard
        self._kept: OrderedDict[tuple[Any, ...], tuple[float, FoundOnGitHub]] = OrderedDict()
        self._not_before = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._egress.close()

    async def search(
        self, kind: Kind, query: str, *, language: str | None, sort: str | None, limit: int
    ) -> FoundOnGitHub:
        """Return the best matches."""
        key = (kind, query, language, sort, limit)
        now = self._clock.monotonic()
        kept = self._kept.get(key)
        if kept and now - kept[0] < KEPT:
            return replace(kept[1], cached=True)
        if now < self._not_before:
            raise _too_often(self._not_before - now)
        words = f"{query} language:{_quoted(language)}" if language else query
        params: dict[str, str | int] = {"q": words, "per_page": limit}
        params |= {"sort": sort} if sort else {}
        found = (await self._guard.call(lambda: self._found(kind, params))).answer
        self._keep(key, now, found)
        return found

    async def _found(self, kind: Kind, params: dict[str, str | int]) -> FoundOnGitHub:
        answer = await self._egress.ask(
            at(self._base, f"search/{kind}"), kinds=JSON, params=params, headers=self._headers()
        )
        if not answer.ok:
            raise self._refused(answer)
        return _read(kind, parsed(answer, "GitHub", TOKEN))

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        return headers | ({"Authorization": f"Bearer {self._token}"} if self._token else {})

    def _refused(self, answer: Answer) -> CartritaError:
        if answer.status == httpx.codes.UNPROCESSABLE_ENTITY:
            return InvalidParameters("GitHub does not understand that query.")
        limited = answer.status in (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS)
        if limited and (wait := self._wait(answer)) is not None:
            self._not_before = self._clock.monotonic() + wait
            return _too_often(wait)
        if answer.status == httpx.codes.UNAUTHORIZED:
            return ConfigurationInvalid(f"GitHub wants a valid token: set {TOKEN}.")
        try:
            parsed(answer, "GitHub", TOKEN)
        except CartritaError as error:
            return error
        return AgentFailed(f"GitHub answered {answer.status}.")

    def _wait(self, answer: Answer) -> float | None:
        """Return how long GitHub wants us to wait; None when it is not about that."""
        headers = answer.headers
        after = seconds_to_wait(headers.get("retry-after"))
        if after is not None:
            return min(after, LONGEST_WAIT)
        reset = _number(headers.get("x-ratelimit-reset"))
        if headers.get("x-ratelimit-remaining") == "0" and reset is not None:
            return min(max(reset - self._clock.now(), 1.0), LONGEST_WAIT)
        return 60.0 if answer.status == httpx.codes.TOO_MANY_REQUESTS else None

    def _keep(self, key: tuple[Any, ...], now: float, found: FoundOnGitHub) -> None:
        self._kept[key] = (now, found)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def _quoted(language: str) -> str:
    plain = language.replace('"', "")
    return f'"{plain}"' if " " in plain else plain


def _too_often(wait: float) -> RateLimitExceeded:
    return RateLimitExceeded(
        f"GitHub answers again in {wait:.0f} s; with {TOKEN} it answers more often.",
        retry_after=wait,
    )


def _number(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else None  # noqa: PLR2004 - a Unix time


def _read(kind: Kind, body: Any) -> FoundOnGitHub:
    try:
        items = tuple(_found(kind, item) for item in body["items"])
        return FoundOnGitHub(items, int(body["total_count"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AgentFailed(f"GitHub answered in a form that is not known: {error}") from None


def _found(kind: Kind, item: dict[str, Any]) -> Found:
    name, description = _NAME[kind]
    facts = {ours: item[theirs] for ours, theirs in _FACTS[kind].items() if item.get(theirs)}
    if kind == "code":
        facts["repository"] = item["repository"]["full_name"]
    text = str(item.get(description) or "").strip()[:LONGEST_DESCRIPTION]
    return Found(str(item[name]), str(item["html_url"]), text, facts)
