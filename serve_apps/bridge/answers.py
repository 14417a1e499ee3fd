"""What v2's clients get: bodies, errors in v2's shape, headers that say that v2 ends."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Any

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from cartrita.errors import CartritaError, ErrorCode
from serve_apps.bridge.redaction import redacted
from serve_apps.bridge.table import Row
from serve_apps.problems import CONFLICTS, LONGEST_DETAIL, status_of

JSON = "application/json"
NOWHERE = "Endpoint not found"
CANCELLED = 499
"""For cancelled tasks, as in v2's own bridge; nginx has it for clients that left."""

_STATUS = {
    ErrorCode.INVALID_PARAMETERS: 400,
    ErrorCode.AGENT_ERROR: 500,
    ErrorCode.TASK_TIMEOUT: 408,
    ErrorCode.TASK_CANCELLED: CANCELLED,
}
"""The statuses of v2 that are others than v3's."""

_WORDS = {
    ErrorCode.TASK_TIMEOUT: "Request timeout",
    ErrorCode.INTERNAL_ERROR: "Internal server error",
}


class Refusal(Exception):
    """An error as v2 tells of it.

    Args:
        status: Of HTTP.
        error: v2's own words, which clients compare.
        message: What helps; by default the same.
        more: Other fields of the body.
        headers: Of the answer.
    """

    def __init__(
        self,
        status: int,
        error: str,
        message: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(error)
        self.status, self.error, self.message = status, error, message or error
        self.headers, self.more = headers or {}, more

    @property
    def body(self) -> dict[str, Any]:
        """What clients of both of v2's families of errors read."""
        return {"success": False, "error": self.error, "message": self.message, **self.more}


def refusal_of(error: CartritaError, row: Row | None = None) -> Refusal:
    """Return an error of ours as v2 tells of it, in a row's own words where it has some."""
    status = status_of(error)
    if not isinstance(error, CONFLICTS):
        status = _STATUS.get(error.code, status)
    more: dict[str, Any] = {"code": error.code}
    if error.reason:
        more["reason"] = error.reason
    if error.fields:
        more["details"] = [
            {"field": _theirs(f.field, row), "message": f.message} for f in error.fields[:20]
        ]
    headers = {}
    if error.retry_after is not None or status in (429, 503):
        more["retryAfter"] = max(1, math.ceil(error.retry_after or 1))
        headers["Retry-After"] = str(more["retryAfter"])
    if status == 401:  # noqa: PLR2004 - RFC 9110 demands the challenge
        headers["WWW-Authenticate"] = 'Bearer realm="cartrita"'
    message = error.message[:LONGEST_DETAIL]
    told = _WORDS.get(error.code, message)
    own = None
    if row:
        own = row.errors.get(str(error.reason)) or row.errors.get(error.code)
    if own:
        status, told = own.status or status, own.error or told
    return Refusal(status, told, message, headers=headers, **more)


def _theirs(field: str, row: Row | None) -> str:
    """Return what the client calls a parameter of ours, where that can be told."""
    where, _, rest = field.partition(".")
    name, _, within = rest.partition(".")
    source = row.takes.source(name) if row and row.takes and where == "parameters" else None
    return ".".join(filter(None, (source, within))) if source else field


def nowhere(path: str, guide: str) -> Refusal:
    """Return v2's answer for what is not there."""
    return Refusal(
        404,
        NOWHERE,
        f"There is nothing at {path[:200]!r}; the guide tells where things are in v3.",
        path=path[:LONGEST_DETAIL],
        migrationGuide=guide,
    )


def unread(error: HTTPException) -> Refusal:
    """Return what Starlette refuses to read, in v2's shape."""
    return Refusal(error.status_code, str(error.detail), headers=dict(error.headers or {}))


@dataclass(frozen=True, slots=True)
class Terms:
    """What every answer says of v2's end.

    Attributes:
        deprecated: Since when it is advised against.
        sunset: When it stops; None says nothing of that.
        guide: A URL, or a path here.
    """

    deprecated: date = date(2026, 1, 1)
    sunset: date | None = None
    guide: str = "/api/migration"

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """RFC 9745, RFC 8594, RFC 8288, and the headers that v2's own bridge gave."""
        since = int(_midnight(self.deprecated).timestamp())
        link = f'<{self.guide}>; rel="deprecation", </v3/catalog>; rel="successor-version"'
        told = {
            "deprecation": f"@{since}",
            "link": link,
            "x-api-version": "v2-legacy",
            "x-deprecation-warning": "The v2 API is deprecated: move to /v3.",
            "x-legacy-bridge": "true",
            "x-migration-guide": self.guide,
        }
        if self.sunset:
            told["sunset"] = format_datetime(_midnight(self.sunset), usegmt=True)
        return [(name.encode(), value.encode("latin-1", "replace")) for name, value in told.items()]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def answer(body: Any, status: int, path: str, *, reveals: bool = False) -> Response:
    """Return an answer in JSON, without secrets."""
    text = to_json(body, inf_nan_mode="null", bytes_mode="base64")
    return Response(text if reveals else redacted(text, path), status, media_type=JSON)
