"""Requests as the first spans of traces."""

import json

import pytest
import structlog
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router

from cartrita.clock import ManualClock
from cartrita.telemetry.log import configure
from cartrita.telemetry.span import Sampling
from serve_apps.asgi.guard import Guard
from serve_apps.asgi.visits import Visits

OUTSIDE = "00f067aa0ba902b7"
THEIRS = f"00-4bf92f3577b34da6a3ce929d0e0e4736-{OUTSIDE}-01"


class Told:
    """A tracer that keeps what it is told."""

    def __init__(self, sampling=None):
        self.sampling, self.spans, self.special = sampling or Sampling(), [], []

    def tell(self, telling, *, special=False):
        self.spans += telling()
        self.special.append(special)


async def ask(tracer, path="/things/7", method="POST", headers=None, took=0.5):
    clock, seen = ManualClock(), []

    async def thing(request):
        exchange = request.scope["exchange"]
        seen.append(exchange.traceparent)
        clock.advance(took)
        if "boom" in request.path_params["name"]:
            raise RuntimeError
        if "later" in request.path_params["name"]:
            exchange.outlived()
        return PlainTextResponse("there")

    app = Router([Route("/things/{name}", thing, methods=["GET", "POST"])])
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b""}

    told = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": method, "path": path, "headers": told}
    await Guard(app, 100, visits=Visits(tracer, clock))(scope, receive, send)
    names = dict(sent[0]["headers"])
    return (seen[0] if seen else None), names[b"traceparent"].decode()


async def test_a_request_is_a_span_between_its_client_s_and_its_task_s():
    tracer = Told()
    inside, answered = await ask(tracer, headers={"traceparent": THEIRS})
    (span,) = tracer.spans
    assert (span.trace, span.parent) == (THEIRS[3:35], OUTSIDE)
    assert inside == answered == f"00-{span.trace}-{span.id}-01"
    assert (span.name, span.end - span.start) == ("POST /things/{name}", 0.5)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/things/{name}",
        "http.response.status_code": 200,
    }


async def test_without_a_client_s_span_it_is_the_first():
    tracer = Told()
    await ask(tracer)
    assert tracer.spans[0].parent == ""


async def test_who_only_looks_is_told_of_where_somebody_traces_that_or_it_went_wrong():
    tracer = Told()
    await ask(tracer, method="GET")
    await ask(tracer, "/nothing", method="GET")
    assert not tracer.spans
    await ask(tracer, method="GET", headers={"traceparent": THEIRS})
    await ask(tracer, "/things/boom", method="GET")
    assert [span.error for span in tracer.spans] == [None, "500"]
    assert tracer.special == [False, True]


async def test_a_line_of_the_log_names_the_trace(capsys):
    configure("info", "json")
    try:
        await ask(Told(), "/things/boom", headers={"traceparent": THEIRS})
    finally:
        structlog.reset_defaults()
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["event"], line["trace_id"]) == ("request_failed", THEIRS[3:35])


@pytest.mark.parametrize(
    ("path", "took", "kept"),
    [
        ("/things/7", 0.5, False),
        ("/things/7", 5.0, True),
        ("/things/boom", 0.5, True),
        ("/things/later", 0.5, True),
    ],
)
async def test_what_is_not_picked_is_kept_where_it_is_special(path, took, kept):
    tracer = Told(Sampling(ratio=0.0))
    await ask(tracer, path, took=took)
    assert bool(tracer.spans) is kept
    assert tracer.special == [True] * kept  # and dropped last, where there is no room


async def test_a_path_that_leads_nowhere_names_no_route():
    tracer = Told()
    await ask(tracer, "/some/body/s/guess")
    assert tracer.spans[0].name == "POST"
    assert "http.route" not in tracer.spans[0].attributes
