"""The move from v2 over HTTP, for administrators."""

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.protocol.wire import WireModel
from serve_apps.asgi.messages import read_json, reply
from serve_apps.asgi.strict import parse
from serve_apps.gateway.gate import admin_of, gate_of

LONGEST_REASON = 500


class Turn(WireModel):
    """How the switch is to stand."""

    rolled_back: bool
    reason: str = Field(default="", max_length=LONGEST_REASON, pattern=r"^[^\x00]*$")


async def status(request: Request) -> Response:
    """GET /v3/admin/bridge: settings, switch, and how the two sides' answers compared."""
    await admin_of(request)
    return reply(await gate_of(request).migration.status())


async def turn(request: Request) -> Response:
    """PUT /v3/admin/bridge: send everything to v2, or share it out again."""
    who = await admin_of(request)
    told = parse(Turn, await read_json(request))
    desk = gate_of(request).migration
    return reply(await desk.turn(who, told.reason, rolled_back=told.rolled_back))


async def clear(request: Request) -> Response:
    """DELETE /v3/admin/bridge/comparisons: begin to count anew."""
    await gate_of(request).migration.clear(await admin_of(request))
    return Response(status_code=204)


async def routes(request: Request) -> Response:
    """GET /v3/admin/bridge/routes: what the table says of each route of v2."""
    await admin_of(request)
    return reply({"routes": await gate_of(request).migration.routes()})


ROUTES = [
    Route("/v3/admin/bridge", status, methods=["GET"]),
    Route("/v3/admin/bridge", turn, methods=["PUT"]),
    Route("/v3/admin/bridge/comparisons", clear, methods=["DELETE"]),
    Route("/v3/admin/bridge/routes", routes, methods=["GET"]),
]
