"""Approvals over HTTP: list what waits for a person, and decide."""

from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.approvals import LONGEST_REASON
from cartrita.protocol.text import Storable
from cartrita.protocol.wire import WireModel
from serve_apps.asgi.messages import read_json, reply
from serve_apps.asgi.strict import parse
from serve_apps.gateway.gate import EVERY_TASK, gate_of, granted, principal_of
from serve_apps.gateway.query import approval_before, approval_id_of, approval_state, limit_of


class Decision(WireModel):
    """What somebody decided."""

    decision: Literal["approve", "deny"]
    reason: Annotated[Storable, Field(max_length=LONGEST_REASON)] = ""


async def listing(request: Request) -> Response:
    """GET /v3/approvals: tools that wait for a person, or that somebody decided about."""
    who = await granted(request, EVERY_TASK)
    state, limit, before = approval_state(request), limit_of(request), approval_before(request)
    rows = await gate_of(request).approvals.list(who, state, limit, before)
    following = rows[-1]["approvalId"] if len(rows) == limit else None
    return reply({"approvals": rows, "next": following})


async def decide(request: Request) -> Response:
    """POST /v3/approvals/{id}: approve or deny."""
    who = await principal_of(request)
    approval = approval_id_of(request)
    said = parse(Decision, await read_json(request))
    row = await gate_of(request).approvals.decide(approval, who, said.decision, said.reason)
    return reply(row)


ROUTES = [
    Route("/v3/approvals", listing, methods=["GET"]),
    Route("/v3/approvals/{approval_id}", decide, methods=["POST"]),
]
