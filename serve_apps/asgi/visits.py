"""Requests as spans: the first of our own in a trace."""

from typing import Any

from starlette.types import Scope

from cartrita.clock import Clock
from cartrita.telemetry.request import Brief
from cartrita.telemetry.span import SERVER, Span, Tracer, Value
from cartrita.telemetry.trace import below, fresh_id, parent_id, trace_id

_LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS = 500


class Visits:
    """Tells of requests.

    Those that only look at something are told where they went wrong, or where the client
    traces them itself: probes and polls would be most of all spans.

    Args:
        tracer: Whom.
        clock: For their times.
    """

    def __init__(self, tracer: Tracer, clock: Clock) -> None:
        self.tracer, self.clock = tracer, clock

    def begin(self, scope: Scope, traceparent: str) -> "Visit":
        """Begin a request that came with a `traceparent`, or was given the first of a trace."""
        return Visit(self, scope, traceparent)


class Visit:
    """One request.

    Attributes:
        traceparent: That of what is done in it.
        status: Of its answer; 0 before there is one.
        special: It is told of, however it ends.
    """

    __slots__ = ("_began", "_scope", "_span", "_under", "_visits", "special", "status",
                 "traceparent")  # fmt: skip

    def __init__(self, visits: Visits, scope: Scope, traceparent: str) -> None:
        self._visits, self._scope, self._under = visits, scope, traceparent
        self._span, self._began = fresh_id(), visits.clock.now()
        self.traceparent = below(traceparent, self._span)
        self.status, self.special = 0, False

    def brief(self) -> Brief:
        """Return what its supervisor may tell of it, should this process die before its end."""
        return [_name(self._scope), parent_id(self._under), self._began]

    def end(self) -> None:
        """Have it told, if it is one that is kept."""
        tracer, ended = self._visits.tracer, self._visits.clock.now()
        failed = self.status >= _OURS
        if not (failed or parent_id(self._under) or self._scope["method"] not in _LOOKS):
            return
        took, kept = ended - self._began, self.special or failed
        if tracer.sampling.keeps(self._under, took, failed=kept):
            span = self._told(ended)
            tracer.tell(lambda: (span,), special=kept or took >= tracer.sampling.slow)

    def _told(self, ended: float) -> Span:
        method, route = self._scope["method"][:20], _route(self._scope)
        attributes: dict[str, Value] = {"http.request.method": method}
        if route:
            attributes["http.route"] = route
        if self.status:
            attributes["http.response.status_code"] = self.status
        error = None
        if self.status >= _OURS:
            error = attributes["error.type"] = str(self.status)
        trace = trace_id(self._under)
        return Span(
            _name(self._scope), trace, self._span, parent_id(self._under), self._began, ended,
            kind=SERVER, attributes=attributes, error=error,
        )  # fmt: skip


def _name(scope: Scope) -> str:
    return f"{scope['method'][:20]} {_route(scope)}".rstrip()


def _route(scope: Scope) -> str:
    """Return the path with names in the place of what was asked for; empty for no route."""
    if "endpoint" not in scope:
        return ""
    path: str = scope["path"]
    params: dict[str, Any] = scope.get("path_params") or {}
    for name, value in params.items():
        path = path.replace(str(value), f"{{{name}}}", 1)
    return path
