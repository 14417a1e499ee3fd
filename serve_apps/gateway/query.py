"""What a request's path and query say, checked."""

import re

from starlette.requests import Request

from cartrita.effects import State
from cartrita.errors import InvalidParameters

LONGEST_WAIT = 60.0
"""Seconds a look at a task may wait for its end."""

USUAL_PAGE, LONGEST_PAGE = 50, 200
"""Rows of one page of a list."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SECONDS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,9})?")
_ROWS = re.compile(r"[0-9]{1,3}")
_NUMBER = re.compile(r"[0-9]{1,18}")
_CURSOR = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def task_id_of(request: Request) -> str:
    """Return the task that the path names."""
    return _uuid("taskId", request.path_params["task_id"])


def effect_id_of(request: Request) -> str:
    """Return the effect that the path names."""
    return _uuid("effectId", request.path_params["effect_id"], "An effect's id")


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


def limit_of(request: Request) -> int:
    """Return how many rows the client wants."""
    text = request.query_params.get("limit", str(USUAL_PAGE))
    if not _ROWS.fullmatch(text) or not 1 <= int(text) <= LONGEST_PAGE:
        raise _refusal("limit", f"takes 1 to {LONGEST_PAGE}")
    return int(text)


def task_before(request: Request) -> str | None:
    """Return the task behind which a list goes on."""
    text = request.query_params.get("before")
    return None if text is None else _uuid("before", text)


def effect_before(request: Request) -> str | None:
    """Return the effect behind which a list goes on."""
    text = request.query_params.get("before")
    return None if text is None else _uuid("before", text, "An effect's id")


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
