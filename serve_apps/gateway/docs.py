"""The API's own documentation, without anything from elsewhere on the web."""

import asyncio
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from serve_apps.gateway.gate import desk_of

_SWAGGER = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Cartrita API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/static/swagger-ui.css"></head>
<body><div id="ui"></div><script src="/docs/static/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script></body></html>
"""
# Without a null here it asks a validator on the web for a badge.
_START = """SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null
});
"""
_REDOC = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Cartrita API</title>
<link rel="icon" href="data:,"></head>
<body><div id="redoc" spec-url="/openapi.json"></div>
<script src="/docs/static/redoc.standalone.js"></script></body></html>
"""
# Redoc asks for its maker's logo on the web and searches in a worker made of a blob.
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_KINDS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "redoc.standalone.js": "text/javascript",
}


async def document(request: Request) -> Response:
    """GET /openapi.json."""
    return (await desk_of(request).openapi.get()).answer(request)


async def swagger(_request: Request) -> Response:
    """GET /docs."""
    return HTMLResponse(_SWAGGER, headers={"Content-Security-Policy": _POLICY})


async def start(_request: Request) -> Response:
    """GET /docs/start.js, apart from the page so that no inline script is allowed."""
    return Response(_START, media_type="text/javascript")


async def redoc(_request: Request) -> Response:
    """GET /redoc."""
    return HTMLResponse(_REDOC, headers={"Content-Security-Policy": _POLICY})


async def static(request: Request) -> Response:
    """GET /docs/static/{name}: a file that the pages name, and no other."""
    name = request.path_params["name"]
    if name not in _KINDS:
        raise HTTPException(404)
    content = await asyncio.to_thread(_read, name)
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(content, headers=headers, media_type=_KINDS[name])


@lru_cache(maxsize=len(_KINDS))
def _read(name: str) -> bytes:
    """Return a file of the wheel of fastapi-offline."""
    spec = find_spec("fastapi_offline")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "static" / name).read_bytes()


ROUTES = [
    Route("/openapi.json", document, methods=["GET"]),
    Route("/docs", swagger, methods=["GET"]),
    Route("/docs/start.js", start, methods=["GET"]),
    Route("/docs/static/{name}", static, methods=["GET"]),
    Route("/redoc", redoc, methods=["GET"]),
]
