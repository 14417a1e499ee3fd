"""W3C trace context: the ids that join one task's tracks."""

import re
from hashlib import blake2b

from cartrita.clock import random_hex

_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


def continue_trace(traceparent: str | None) -> str:
    """Return a valid `traceparent`: the caller's, or that of a new trace.

    A new trace has no span yet; what stands in its place is the half of its own id.
    """
    match = _TRACEPARENT.match(traceparent or "")
    if match and match[1] != _NO_TRACE and match[2] != _NO_SPAN:
        return match[0]
    trace = random_hex(16)
    return f"00-{trace}-{trace[:16]}-01"


def trace_id(traceparent: str) -> str:
    """Return the 32 hex digits that all spans of a trace share."""
    return traceparent[3:35]


def parent_id(traceparent: str) -> str:
    """Return the span that work under a `traceparent` belongs to; empty where it begins."""
    parent = traceparent[36:52]
    return "" if parent == traceparent[3:19] else parent


def span_id(*parts: object) -> str:
    """Return the id of a span that follows from what it is about.

    So it is the same in every process that tells of it, however often, and nobody needs to
    be told it.
    """
    return blake2b("/".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def fresh_id() -> str:
    """Return an id for a span that happens once."""
    return random_hex(8)


def below(traceparent: str, span: str) -> str:
    """Return the `traceparent` of what happens in a span."""
    return f"{traceparent[:36]}{span}{traceparent[52:]}"
