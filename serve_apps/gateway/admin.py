"""What administrators order over HTTP, and the record of it."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.protocol.command import CommandRequest
from serve_apps.asgi.messages import read_json, reply
from serve_apps.asgi.strict import parse
from serve_apps.gateway.gate import admin_of, gate_of
from serve_apps.gateway.query import limit_of, number_before


async def command(request: Request) -> Response:
    """POST /v3/admin/commands: carry out a command; 200 tells of each part how it went."""
    who = await admin_of(request)
    asked = parse(CommandRequest, await read_json(request))
    order = (asked.command.value, asked.target, asked.checked(), who)
    return reply(await gate_of(request).command(*order))


async def audit(request: Request) -> Response:
    """GET /v3/admin/audit: what was ordered, newest first."""
    await admin_of(request)
    limit = limit_of(request)
    rows = await gate_of(request).audit(limit, number_before(request))
    return reply({"entries": rows, "next": rows[-1]["id"] if len(rows) == limit else None})


ROUTES = [
    Route("/v3/admin/commands", command, methods=["POST"]),
    Route("/v3/admin/audit", audit, methods=["GET"]),
]
