"""Answers that are kept to be given again, over HTTP."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serve_apps.asgi.messages import reply
from serve_apps.gateway.gate import EVERY_TASK, gate_of, granted
from serve_apps.gateway.query import owner_of


async def erase(request: Request) -> Response:
    """DELETE /v3/answers/{kind}/{owner}: one's own; administrators a user's or a tenant's."""
    who = await granted(request, EVERY_TASK)
    return reply(await gate_of(request).answers.erase(owner_of(request), who))


ROUTES = [Route("/v3/answers/{kind}/{owner}", erase, methods=["DELETE"])]
