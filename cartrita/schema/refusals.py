"""Why requests are refused, as the API's document tells, status by status."""

from typing import Any

from cartrita.schema.shapes import PROBLEM, content, ref

WHY: dict[int, str] = {
    400: "It is not what this route reads: malformed, of another type, or of an unknown kind.",
    401: "The token is missing, expired, or not ours.",
    402: "The worst case does not fit a budget.",
    403: "These credentials do not cover it.",
    404: "There is no such thing, or it is somebody else's.",
    408: "The body took too long to arrive.",
    409: "It does not go with what stands already.",
    413: "It is too long.",
    416: "There are no such bytes.",
    422: "A field is missing, unknown or out of range; `errors` names it.",
    429: "Too many requests; `Retry-After` says when there is room.",
    500: "A defect of ours.",
    501: "A setting is missing; `detail` says which.",
    503: "Not now; `Retry-After` says when to come back.",
}
"""The statuses a request may be refused with."""

ALWAYS = (400, 413, 500, 503)
"""What the guard around every route, or the want of one that is up, can answer."""

PRIVATE = (401, 403, 429)
READING = (408, 422)
SUBMITTING = (402, 409, 501)

_TEXT = {"type": "string"}
_SECONDS = {"type": "integer", "minimum": 1}
_CHALLENGED, _TOO_MANY, _LATER, _NO_BYTES = 401, 429, 503, 416
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "The request's own, or the trace's id.",
        "schema": {**_TEXT, "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "traceparent": {
        "description": "W3C trace context, the caller's or a new one.",
        "schema": {**_TEXT, "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
    },
    "Retry-After": {"description": "Seconds.", "schema": _SECONDS},
    "WWW-Authenticate": {"description": "The challenge.", "schema": _TEXT},
    "Content-Range": {"description": "Which bytes, of how many.", "schema": _TEXT},
    "Location": {
        "description": "Where to look for it.",
        "schema": {**_TEXT, "format": "uri-reference"},
    },
    "ETag": {"description": "For `If-None-Match`.", "schema": _TEXT},
    "RateLimit": {"description": "What is left of the quota.", "schema": _TEXT},
    "RateLimit-Policy": {"description": "The quota.", "schema": _TEXT},
}
_SOMETIMES = ("RateLimit", "RateLimit-Policy")


def headers(*names: str) -> dict[str, Any]:
    """Return the headers of an answer: those that each has, and some more by name."""
    told = ("X-Request-ID", "traceparent", *names)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in told}


def header_parts() -> dict[str, Any]:
    """Return the document's headers, to which answers refer."""
    return {name: {**told, "required": name not in _SOMETIMES} for name, told in _HEADERS.items()}


def refused(*statuses: int) -> dict[str, Any]:
    """Return what an operation may be refused with, and what all may."""
    every = sorted({*ALWAYS, *statuses})
    return {str(status): {"$ref": f"#/components/responses/Refused{status}"} for status in every}


def response_parts() -> dict[str, Any]:
    """Return the document's refusals, to which operations refer."""
    return {f"Refused{status}": _response(status, why) for status, why in WHY.items()}


def _response(status: int, why: str) -> dict[str, Any]:
    more = {
        _CHALLENGED: ("WWW-Authenticate",),
        _TOO_MANY: ("Retry-After", *_SOMETIMES),
        _LATER: ("Retry-After",),
        _NO_BYTES: ("Content-Range",),
    }.get(status, ())
    return {"description": why, "headers": headers(*more), **content(ref("Problem"), PROBLEM)}
