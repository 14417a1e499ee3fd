"""The gateway as one ASGI application."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from cartrita.errors import InvalidMessage, NotFound
from cartrita.telemetry.trace import trace_id
from serve_apps.asgi import Guard
from serve_apps.gateway import accounts, docs, system, tasks
from serve_apps.gateway.gate import Gate
from serve_apps.problems import problem

Opener = Callable[[], AbstractAsyncContextManager[Gate]]


def gateway(
    opener: Opener, *, max_body: int, cors: tuple[str, ...] = (), show_docs: bool = True
) -> ASGIApp:
    """Return the application.

    Args:
        opener: Opens what the routes need, for as long as the application runs.
        max_body: Bytes of the longest request body.
        cors: Origins whose pages may call.
        show_docs: Whether `/docs` and `/openapi.json` answer.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with opener() as gate:
            app.state.gate = gate
            yield

    routes = [
        *tasks.ROUTES,
        *accounts.ROUTES,
        *system.ROUTES,
        *(docs.routes() if show_docs else []),
    ]
    middleware = []
    if cors:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(cors),
                allow_methods=["*"],
                allow_headers=["*"],
                allow_credentials="*" not in cors,
            )
        )
    app = Starlette(
        routes=routes,
        middleware=middleware,
        lifespan=lifespan,
        exception_handlers={HTTPException: _no_route},  # type: ignore[dict-item]
    )
    app.router.redirect_slashes = False
    return Guard(app, max_body)


async def _no_route(request: Request, error: HTTPException) -> Response:
    """Answer for what the router itself refuses."""
    where = request.url.path
    trace = trace_id(request.scope["traceparent"])
    if error.status_code == 404:  # noqa: PLR2004 - HTTP's number is its name
        return problem(NotFound(f"There is nothing at {where!r}."), instance=where, trace_id=trace)
    refusal = InvalidMessage(f"{request.method} {where!r} is refused: {error.detail}.")
    answer = problem(refusal, status=error.status_code, instance=where, trace_id=trace)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer
