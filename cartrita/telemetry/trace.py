"""W3C trace context: the ids that join one task's tracks."""

import re
import secrets

_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$")


def continue_trace(traceparent: str | None) -> str:
    """Return a valid `traceparent`: the caller's, or the root of a new trace."""
    match = _TRACEPARENT.match(traceparent or "")
    if match and set(match[1]) != {"0"} and set(match[2]) != {"0"}:
        return match[0]
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str) -> str:
    """Return the 32 hex digits that all spans of a trace share."""
    return traceparent[3:35]
