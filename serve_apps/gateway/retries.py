"""Tasks that are tried again, over HTTP."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serve_apps.asgi.messages import reply
from serve_apps.gateway.gate import gate_of, submitter_of
from serve_apps.gateway.query import task_id_of


async def retry(request: Request) -> Response:
    """POST /v3/tasks/{id}/retry: run one's task that did not complete as a new one, once."""
    who = await submitter_of(request)
    answer = await gate_of(request).retries.retry(task_id_of(request), who)
    return reply(answer, 202, {"Location": f"/v3/tasks/{answer['taskId']}"})


ROUTES = [Route("/v3/tasks/{task_id}/retry", retry, methods=["POST"])]
