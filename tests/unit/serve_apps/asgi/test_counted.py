"""Requests are counted by their route's pattern, their method and their status."""

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router

from cartrita.telemetry.metrics import REGISTRY
from serve_apps.asgi.counted import Counted


async def _thing(request):
    return PlainTextResponse(await request.body())


ROUTES = [Route("/counted/{name}", _thing, methods=["POST"])]


@pytest.fixture
async def client():
    transport = httpx.ASGITransport(Counted(Router(ROUTES), ROUTES))
    async with httpx.AsyncClient(transport=transport, base_url="http://cartrita.test") as client:
        yield client


def requests(route, method, status):
    labels = {"route": route, "method": method, "status": status}
    name = "cartrita_mcp_http_request_duration_seconds_count"
    return REGISTRY.get_sample_value(name, labels) or 0.0


def moved(direction):
    labels = {"transport_type": "http", "direction": direction}
    return (
        REGISTRY.get_sample_value("cartrita_mcp_transport_bytes_transferred_total", labels) or 0.0
    )


async def test_the_label_is_the_pattern_and_not_the_path(client):
    for name in ("ada", "eve"):
        await client.post(f"/counted/{name}")
    assert requests("/counted/{name}", "POST", "200") == 2
    assert not requests("/counted/ada", "POST", "200")


@pytest.mark.parametrize(
    ("path", "route"),
    [("/nowhere", "other"), ("/api/agents/7", "/api/*"), ("/socket.io/?EIO=4", "/socket.io/*")],
)
async def test_what_has_no_route_has_no_label_of_its_own(client, path, route):
    before = requests(route, "GET", "404")
    await client.get(path)
    assert requests(route, "GET", "404") == before + 1


async def test_a_method_that_somebody_made_up_is_other(client):
    before = requests("other", "other", "404")
    await client.request("BREW", "/nowhere")
    assert requests("other", "other", "404") == before + 1


async def test_bytes_are_counted_both_ways(client):
    before = moved("in"), moved("out")
    await client.post("/counted/ada", content=b"x" * 1000)
    assert (moved("in") - before[0], moved("out") - before[1]) == (1000, 1000)


async def test_a_request_that_ends_in_an_exception_is_under_way_no_more():
    async def broken(scope, receive, send):
        raise RuntimeError("broken")

    def under_way():
        return (
            REGISTRY.get_sample_value(
                "cartrita_mcp_transport_connections", {"transport_type": "http"}
            )
            or 0.0
        )

    before = under_way()
    transport = httpx.ASGITransport(Counted(broken, []))
    async with httpx.AsyncClient(transport=transport, base_url="http://cartrita.test") as client:
        with pytest.raises(RuntimeError):
            await client.get("/")
    assert under_way() == before
