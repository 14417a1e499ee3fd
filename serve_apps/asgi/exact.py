"""Finds routes without parameters by their path alone, instead of trying pattern after pattern."""

from collections.abc import Sequence
from inspect import iscoroutinefunction

from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send


class Exact:
    """Answers at paths that are one route's alone, and leaves the others to a router.

    It does what the router would, without the layer that looks for handlers of errors:
    there are none, our guard answers for them.

    Args:
        routes: The router's, in its order.
        router: What knows the patterns, refuses methods, and starts and ends.
    """

    def __init__(self, routes: Sequence[BaseRoute], router: ASGIApp) -> None:
        self._router = router
        self._routes = {
            route.path: route
            for route in routes
            if isinstance(route, Route) and _is_alone(route, routes)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None or scope["method"] not in (route.methods or ()) or scope.get("root_path"):
            await self._router(scope, receive, send)
            return
        scope["endpoint"], scope["path_params"] = route.endpoint, {}
        response = await route.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


def _is_alone(route: Route, routes: Sequence[BaseRoute]) -> bool:
    """Tell whether a route is a plain function at one path that no other route answers at."""
    if type(route) is not Route or route.param_convertors:
        return False
    others = (one for one in routes if one is not route and isinstance(one, Route))
    return iscoroutinefunction(route.endpoint) and not any(
        one.path_regex.match(route.path) for one in others
    )
