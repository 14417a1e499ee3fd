"""Tasks' whole stories over HTTP."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cartrita.steps import costs
from serve_apps.asgi.messages import reply
from serve_apps.gateway.gate import gate_of, principal_of
from serve_apps.gateway.query import cursor_of, task_id_of


async def story(request: Request) -> Response:
    """GET /v3/tasks/{id}/story: all that is known of a task; `?until=` a cursor."""
    who = await principal_of(request)
    task_id, until = task_id_of(request), cursor_of(request, "until")
    return reply(await gate_of(request).storyteller.story(task_id, who, until))


async def cost(request: Request) -> Response:
    """GET /v3/tasks/{id}/cost: what each step of a task has cost."""
    who = await principal_of(request)
    told = await gate_of(request).storyteller.story(task_id_of(request), who, None)
    return reply(costs(told))


ROUTES = [
    Route("/v3/tasks/{task_id}/story", story, methods=["GET"]),
    Route("/v3/tasks/{task_id}/cost", cost, methods=["GET"]),
]
