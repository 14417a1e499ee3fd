"""Reads bodies as v2 took them: JSON, forms, and forms with files."""

import asyncio
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.requests import Request

from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.strict import values
from serve_apps.bridge.answers import JSON, Refusal
from serve_apps.bridge.calls import Upload
from serve_apps.bridge.table import MEGABYTE, Row

FORM, FORM_WITH_FILES = "application/x-www-form-urlencoded", "multipart/form-data"
LARGE = 1 << 18
"""Bytes of JSON from which another thread reads it."""

MOST_FIELDS, MOST_FILES = 200, 20
CHARSETS = (b"utf-8", b"utf8", b"us-ascii")
"""Of forms. Python knows others in which a text takes hours to read, or is no text."""

_SENDS = ("POST", "PUT", "PATCH")

Body = tuple[Any, dict[str, list[Upload]]]


def check_kind(request: Request) -> None:
    """Refuse what v2's gate refused, which looked at nothing but the method and the kind.

    Raises:
        Refusal: It is neither JSON nor a form.
    """
    if request.method in _SENDS and _kind(request) not in (JSON, FORM, FORM_WITH_FILES):
        raise Refusal(400, "Invalid content-type. Expected application/json")


def _kind(request: Request) -> str:
    told = exchange_of(request).headers.get(b"content-type", b"").decode("latin-1")
    if told == JSON:
        return JSON
    kind = told.partition(";")[0].strip().lower()
    return JSON if kind.endswith("+json") else kind


async def read_body(request: Request, row: Row) -> Body:
    """Return what came and the files that came with it.

    Raises:
        Refusal: It is nothing that v2 took.
        CartritaError: It is malformed or too long.
    """
    kind = _kind(request)
    if kind in (FORM, FORM_WITH_FILES):
        return await _form(request, row)
    if kind != JSON:
        return {}, {}
    text = await exchange_of(request).body()
    if len(text) > LARGE:  # nobody else should wait for it
        return await asyncio.to_thread(_object, text), {}
    return (_object(text) if text.strip() else {}), {}


def _object(text: bytes) -> Any:
    found = values(text)
    if not isinstance(found, dict | list):
        raise Refusal(400, "The body must be an object")
    return found


async def _form(request: Request, row: Row) -> Body:
    """Read a form; a field that comes more than once is a list."""
    most = row.largest_mb * MEGABYTE
    _, told = parse_options_header(request.headers.get("content-type"))  # as the parser reads it
    if told.get(b"charset", CHARSETS[0]).lower() not in CHARSETS:
        raise Refusal(400, "Forms are read as UTF-8")
    body: dict[str, Any] = {}
    files: dict[str, list[Upload]] = {}
    async with request.form(
        max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=most
    ) as form:
        for name, value in form.multi_items():
            if not isinstance(value, UploadFile):
                body[name] = [*_listed(body[name]), value] if name in body else value
                continue
            if name not in row.multipart:
                raise Refusal(400, f"Unexpected field {name[:100]!r}")
            kind = (value.content_type or "application/octet-stream").partition(";")[0]
            upload = Upload(value.filename or "", kind.strip().lower(), await value.read())
            files.setdefault(name, []).append(upload)
    return body, files


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def query_of(request: Request) -> dict[str, Any]:
    """Return the query: texts, or lists of them where a name comes more than once."""
    if not request.scope.get("query_string"):
        return {}
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        found.setdefault(name, []).append(value)
    return {name: values if values[1:] else values[0] for name, values in found.items()}
