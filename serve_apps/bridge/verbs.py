"""The verbs of the table: what a call becomes."""

from typing import Any

from starlette.exceptions import HTTPException

from cartrita.clock import iso
from cartrita.errors import CartritaError, InternalFailure, InvalidParameters
from cartrita.telemetry.log import get_logger
from serve_apps.bridge.answers import Refusal, refusal_of, unread
from serve_apps.bridge.calls import Call, Document
from serve_apps.bridge.expressions import Expression, Unfit
from serve_apps.bridge.table import Ready, Row

log = get_logger(__name__)


def refusal_from(error: Exception, path: str, row: Row | None = None) -> Refusal:
    """Return any error as v2 tells of it; what is none of ours is logged, and not told."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HTTPException):
        return unread(error)
    if not isinstance(error, CartritaError):
        log.error("bridge_failed", path=path, exc_info=error)
        error = InternalFailure("The request failed on our side.")
    return refusal_of(error, row)


def later(team: str) -> Refusal:
    """Return the answer of a row whose team is not there yet."""
    return Refusal(
        501,
        "Not implemented yet",
        f"This needs the {team} team, which is not there yet.",
        code="CONFIGURATION_ERROR",
        reason="LATER",
    )


async def done(call: Call, ready: Ready) -> Any:
    """Do what a row's verb says and return the body of the answer.

    Raises:
        Refusal: v2 would not do it.
        CartritaError: It cannot be done.
    """
    row, document = ready.row, call.document
    if row.later is not None:
        raise later(row.later)
    if ready.account and call.who:
        await call.know()
    for demand in row.refuse:
        if not demand.unless.holds(document):
            raise Refusal(demand.status, demand.error)
    if row.page:
        return _told(row.page, row, document)
    parameters = _taken(row, document)
    if row.task:
        document["result"] = await _ran(call, row, row.task, parameters)
    else:
        assert ready.service is not None
        document["result"] = await ready.service(call, parameters)
    return _told(row.gives, row, document) if row.gives else document["result"]


def _taken(row: Row, document: Document) -> dict[str, Any]:
    """Return the parameters, without those that did not come."""
    if row.takes is None:
        return {}
    try:
        found = row.takes(document)
    except Unfit as error:
        raise InvalidParameters(f"The request does not fit: {error}.") from None
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if value is not None}


async def _ran(call: Call, row: Row, task: str, parameters: dict[str, Any]) -> Any:
    """Run a row's task and return its result; of one that streams, its id."""
    document = call.document
    session = document["session"] = (
        call.conversation(row.session(document)) if row.session else None
    )
    preferences = row.preferences(document) if row.preferences else None
    more = {"session": session, "timeout": row.timeout}
    if row.streams:
        hints = {**(preferences or {}), "streaming": True}
        return await call.begin(task, parameters, preferences=hints, **more)
    ran = await call.run(task, parameters, preferences=preferences, **more)
    if "now" in document:
        document["now"] = iso(call.now)  # when it is answered, not when it came
    return ran.result


def _told(expression: Expression, row: Row, document: Document) -> Any:
    try:
        return expression(document)
    except Unfit as error:
        raise RuntimeError(f"{row.route} tells nothing: {error}") from None
