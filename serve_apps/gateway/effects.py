"""Effects on the outside world over HTTP: list them, and decide about the unknown."""

from typing import Literal

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.protocol.wire import WireModel
from serve_apps.asgi.messages import read_json, reply
from serve_apps.asgi.strict import parse
from serve_apps.gateway.gate import EVERY_TASK, gate_of, granted, principal_of
from serve_apps.gateway.query import effect_before, effect_id_of, effect_state, limit_of


class Resolution(WireModel):
    """What somebody found out."""

    outcome: Literal["done", "not_done"]
    result: JsonValue = None


async def listing(request: Request) -> Response:
    """GET /v3/effects: effects in a state, those that nobody knows of by default."""
    who = await granted(request, EVERY_TASK)
    state, limit, before = effect_state(request), limit_of(request), effect_before(request)
    rows = await gate_of(request).effects.list(who, state, limit, before)
    return reply({"effects": rows, "next": rows[-1]["effectId"] if len(rows) == limit else None})


async def resolve(request: Request) -> Response:
    """POST /v3/effects/{id}/resolve: say what became of one."""
    who = await principal_of(request)
    effect_id = effect_id_of(request)
    found = parse(Resolution, await read_json(request))
    row = await gate_of(request).effects.resolve(effect_id, who, found.outcome, found.result)
    return reply(row)


ROUTES = [
    Route("/v3/effects", listing, methods=["GET"]),
    Route("/v3/effects/{effect_id}/resolve", resolve, methods=["POST"]),
]
