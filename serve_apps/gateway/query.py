"""What a request's path and query say, checked."""

import re
from datetime import datetime
from typing import cast, get_args
from uuid import UUID

from starlette.requests import Request

from cartrita.approvals import Verdict
from cartrita.effects import State
from cartrita.errors import AuthorizationFailed, InvalidParameters
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskStatus
from cartrita.storage.budgets import By
from cartrita.storage.listing import Place, Wanted, moment
from serve_apps.asgi.guard import exchange_of

LONGEST_WAIT = 60.0
"""Seconds a look at a task may wait for its end."""

USUAL_PAGE, LONGEST_PAGE = 50, 200
"""Rows of one page of a list."""

OWNERS = ("user", "tenant")
"""Whose budgets may be set, and whose answers erased."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SECONDS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_ROWS = re.compile(r"[0-9]{1,3}")
_NUMBER = re.compile(r"[0-9]{1,18}")
_PLACE = re.compile(r"([0-9]{1,11})\.([0-9]{1,6})_([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_PREFERRED_WAIT = re.compile(r"(?:^|[,;\s])wait=([0-9]{1,9})(?:$|[,;\s])")
_LABEL = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
_CURSOR = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def task_id_of(request: Request) -> str:
    """Return the task that the path names."""
    return _uuid("taskId", request.path_params["task_id"])


def blob_id_of(request: Request) -> str:
    """Return the blob that the path names."""
    return _uuid("blobId", request.path_params["blob_id"], "A blob's id")


def effect_id_of(request: Request) -> str:
    """Return the effect that the path names."""
    return _uuid("effectId", request.path_params["effect_id"], "An effect's id")


def key_id_of(request: Request) -> str:
    """Return the API key that the path names."""
    return _uuid("keyId", request.path_params["key_id"], "A key's id")


def _uuid(field: str, text: str, what: str = "A task id") -> str:
    if not _UUID.fullmatch(text):
        raise InvalidParameters(f"{what} is a UUID.", fields=[(field, "is not a UUID")])
    return text.lower()


def wait_of(request: Request) -> float:
    """Return how many seconds the client would wait."""
    text = request.query_params.get("wait", "0")
    if not _SECONDS.fullmatch(text) or float(text) > LONGEST_WAIT:
        raise _refusal("wait", f"takes 0 to {LONGEST_WAIT:g} seconds")
    return float(text)


def patience_of(request: Request) -> float | None:
    """Return how many seconds a client that asks for a task waits for its end; None is for ever.

    `?wait=` goes before `Prefer: wait=` (RFC 7240), which is cut to what we offer.
    """
    if request.scope["query_string"] and "wait" in request.query_params:
        return wait_of(request)
    preferred = exchange_of(request).headers.get(b"prefer", b"").decode("latin-1").lower()
    wait = _PREFERRED_WAIT.search(preferred)
    if wait:
        return min(float(wait[1]), LONGEST_WAIT)
    return 0.0 if "respond-async" in preferred else None


def wanted_of(request: Request, who: Principal) -> Wanted:
    """Return which tasks the client wants listed: its own, an administrator anybody's."""
    return Wanted(
        _user(request, who),
        _statuses(request.query_params.getlist("status")),
        _label(request, "taskType"),
        _label(request, "sessionId"),
        _time(request, "since"),
        _time(request, "until"),
    )


def _user(request: Request, who: Principal) -> str | None:
    """Return whose tasks are meant; None is everybody's."""
    user = _label(request, "user")
    if who.admin or user == who.user:
        return user
    if user is None:
        return who.user
    raise AuthorizationFailed(
        "Only administrators may list what others asked for: leave 'user' out.",
        fields=[("user", "is somebody else")],
    )


def _statuses(told: list[str]) -> frozenset[TaskStatus] | None:
    names = [name.strip() for text in told for name in text.split(",")]
    try:
        return frozenset(map(TaskStatus, names)) if names else None
    except ValueError:
        raise _refusal("status", f"takes some of {', '.join(TaskStatus)}") from None


def _label(request: Request, field: str) -> str | None:
    text = request.query_params.get(field)
    if text is not None and not _LABEL.fullmatch(text):
        raise _refusal(field, "takes 1 to 255 printable characters")
    return text


def _time(request: Request, field: str) -> float | None:
    text = request.query_params.get(field)
    if text is None:
        return None
    try:
        told = datetime.fromisoformat(text)
        seconds = told.timestamp()
        moment(seconds)
    except (ValueError, OverflowError, OSError):
        raise _refusal(field, "is not a date-time of ISO 8601") from None
    if told.tzinfo is None:
        raise _refusal(field, "needs a time zone")
    return seconds


def place_after(request: Request) -> Place | None:
    """Return where the page before the wanted one ended."""
    text = request.query_params.get("cursor")
    if text is None:
        return None
    told = _PLACE.fullmatch(text)
    try:
        if told:
            seconds = moment(int(told[1]))
            return Place(seconds.replace(microsecond=int(told[2])), str(UUID(told[3])))
    except (ValueError, OverflowError, OSError):
        pass
    raise _refusal("cursor", "is not the `next` of a page")


def cursor_at(place: Place) -> str:
    """Return what `place_after` reads."""
    at = place.accepted_at
    return f"{int(at.timestamp())}.{at.microsecond}_{place.task_id}"


def limit_of(request: Request) -> int:
    """Return how many rows the client wants."""
    text = request.query_params.get("limit", str(USUAL_PAGE))
    if not _ROWS.fullmatch(text) or not 1 <= int(text) <= LONGEST_PAGE:
        raise _refusal("limit", f"takes 1 to {LONGEST_PAGE}")
    return int(text)


def owner_of(request: Request) -> str:
    """Return the user or the tenant that the path names, which names their budget, too."""
    kind, owner = request.path_params["kind"], request.path_params["owner"]
    if kind not in OWNERS:
        raise _refusal("kind", f"takes {' or '.join(OWNERS)}")
    if not _LABEL.fullmatch(owner):
        raise _refusal("owner", "takes 1 to 255 printable characters")
    return f"{kind}:{owner}"


def budget_after(request: Request) -> str | None:
    """Return the budget behind which a list goes on."""
    return _label(request, "after")


def span_of(request: Request) -> tuple[float | None, float | None]:
    """Return the times between which the client wants something."""
    return _time(request, "since"), _time(request, "until")


def spender_of(request: Request, who: Principal) -> str | None:
    """Return who is meant; None is everybody."""
    return _user(request, who)


def names_of(request: Request) -> By:
    """Return by which names the client wants something added up."""
    by = request.query_params.get("by", "model")
    if by not in get_args(By):
        raise _refusal("by", f"takes {', '.join(get_args(By))}")
    return cast("By", by)


def task_before(request: Request) -> str | None:
    """Return the task behind which a list goes on."""
    text = request.query_params.get("before")
    return None if text is None else _uuid("before", text)


def approval_id_of(request: Request) -> str:
    """Return the approval that the path names."""
    return _uuid("approvalId", request.path_params["approval_id"], "An approval's id")


def approval_before(request: Request) -> str | None:
    """Return the approval behind which a list goes on."""
    text = request.query_params.get("before")
    return None if text is None else _uuid("before", text, "An approval's id")


def approval_state(request: Request) -> str:
    """Return the state in which the client wants approvals."""
    text = request.query_params.get("state", Verdict.PENDING)
    if text not in list(Verdict):
        raise _refusal("state", f"takes {', '.join(Verdict)}")
    return text


def effect_before(request: Request) -> str | None:
    """Return the effect behind which a list goes on."""
    text = request.query_params.get("before")
    return None if text is None else _uuid("before", text, "An effect's id")


def key_before(request: Request) -> str | None:
    """Return the API key behind which a list goes on."""
    text = request.query_params.get("before")
    return None if text is None else _uuid("before", text, "A key's id")


def effect_state(request: Request) -> str:
    """Return the state in which the client wants effects."""
    text = request.query_params.get("state", State.UNKNOWN)
    if text not in list(State):
        raise _refusal("state", f"takes {', '.join(State)}")
    return text


def number_before(request: Request) -> int | None:
    """Return the entry behind which a list goes on."""
    text = request.query_params.get("before")
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise _refusal("before", "is the id of an entry, a whole number")
    return int(text)


def cursor_of(request: Request, name: str) -> str | None:
    """Return the event's cursor that a field of the query names."""
    text = request.query_params.get(name)
    if text is not None and not is_cursor(text):
        raise _refusal(name, "is no cursor of an event")
    return text


def is_cursor(text: str) -> bool:
    """Tell whether a text could be a cursor; the door knows."""
    return _CURSOR.fullmatch(text) is not None


def _refusal(field: str, limit: str) -> InvalidParameters:
    return InvalidParameters(f"{field!r} {limit}.", fields=[(field, limit)])
