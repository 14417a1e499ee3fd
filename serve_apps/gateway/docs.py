"""The API's own documentation, without anything from elsewhere on the web."""

from importlib.util import find_spec
from pathlib import Path

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from cartrita.schema import openapi
from serve_apps.gateway.gate import gate_of

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Cartrita API</title>
<link rel="stylesheet" href="/docs/static/swagger-ui.css"></head>
<body><div id="ui"></div><script src="/docs/static/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script></body></html>
"""
_START = """SwaggerUIBundle({url: "/openapi.json", dom_id: "#ui", deepLinking: true});
"""
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


async def document(request: Request) -> Response:
    """GET /openapi.json."""
    gate = gate_of(request)
    return Response(to_json(openapi(gate.catalog, gate.version)), media_type="application/json")


async def page(_request: Request) -> Response:
    """GET /docs."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


async def start(_request: Request) -> Response:
    """GET /docs/start.js, apart from the page so that no inline script is allowed."""
    return Response(_START, media_type="text/javascript")


def static_files() -> StaticFiles:
    """Return Swagger UI's files, as the wheel of fastapi-offline ships them."""
    spec = find_spec("fastapi_offline")
    assert spec is not None
    assert spec.origin is not None
    return StaticFiles(directory=Path(spec.origin).parent / "static")


def routes() -> list[Route | Mount]:
    """Return the routes of the documentation."""
    return [
        Route("/openapi.json", document, methods=["GET"]),
        Route("/docs", page, methods=["GET"]),
        Route("/docs/start.js", start, methods=["GET"]),
        Mount("/docs/static", static_files()),
    ]
