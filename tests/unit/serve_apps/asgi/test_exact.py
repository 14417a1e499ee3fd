"""Which routes are found without trying patterns, and that nothing else changes by it."""

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router

from serve_apps.asgi.exact import Exact
from serve_apps.asgi.reserved import Reserved


def said(text):
    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse(text)

    return endpoint


async def refusing(request: Request):
    raise HTTPException(418)


ROUTES = [
    Route("/plain", said("plain"), methods=["GET"]),
    Route("/things/{name}", said("one of them"), methods=["GET"]),
    Route("/things/all", said("never"), methods=["GET"]),
    Route("/twice", said("first"), methods=["GET"]),
    Route("/twice", said("second"), methods=["POST"]),
    Reserved("/reserved", said("reserved"), methods=["GET"]),
    Route("/refusing", refusing, methods=["GET"]),
]


class Counting:
    """A router that counts what comes to it."""

    def __init__(self):
        self._router, self.asked = Router(ROUTES, redirect_slashes=False), 0

    async def __call__(self, scope, receive, send):
        self.asked += 1
        await self._router(scope, receive, send)


async def ask(asked, path, method="GET", **more):
    scope = {
        "type": "http", "method": method, "path": path, "headers": [], "query_string": b"", **more
    }  # fmt: skip
    sent = []

    async def send(message):
        sent.append(message)

    await asked(scope, None, send)
    return sent[0]["status"], sent[1]["body"].decode(), scope


@pytest.mark.parametrize(
    ("path", "method"),
    [("/plain", "GET"), ("/things/all", "GET"), ("/things/x", "GET"), ("/twice", "GET"),
     ("/twice", "POST"), ("/reserved", "GET"), ("/plain", "HEAD")],
)  # fmt: skip
async def test_the_answer_is_the_routers(path, method):
    router = Router(ROUTES, redirect_slashes=False)

    expected = await ask(router, path, method)
    found = await ask(Exact(ROUTES, router), path, method)

    assert found[:2] == expected[:2]
    for name in ("endpoint", "path_params"):
        assert found[2][name] == expected[2][name]


async def test_only_a_path_of_one_plain_route_needs_no_router():
    router = Counting()
    app = Exact(ROUTES, router)

    await ask(app, "/plain")
    assert router.asked == 0
    for path in ("/things/all", "/twice", "/reserved"):
        await ask(app, path)
    await ask(app, "/plain", root_path="/plain")
    assert router.asked == 4


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/plain", "PUT", 405), ("/no", "GET", 404)]
)
async def test_what_the_router_refuses_is_refused_by_it(path, method, status):
    app = Exact(ROUTES, Router(ROUTES, redirect_slashes=False))

    with pytest.raises(HTTPException) as refused:
        await ask(app, path, method, app=app)

    assert refused.value.status_code == status


async def test_an_endpoints_own_refusal_reaches_the_guard():
    with pytest.raises(HTTPException):
        await ask(Exact(ROUTES, Counting()), "/refusing")
