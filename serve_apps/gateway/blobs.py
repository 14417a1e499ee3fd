"""Large things over HTTP: put in, take out in parts, drop. They are their owner's alone."""

import re
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from cartrita.clock import iso
from cartrita.errors import InvalidMessage, InvalidParameters, NotFound
from cartrita.protocol.principal import Principal
from cartrita.protocol.task import TaskStatus
from cartrita.storage.blobs import Blob
from serve_apps.asgi.guard import exchange_of
from serve_apps.asgi.messages import reply
from serve_apps.gateway.gate import gate_of, worker_of
from serve_apps.gateway.query import blob_id_of

PATH = "/v3/blobs"

_KIND = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")
_UNSATISFIABLE = 416


async def create(request: Request) -> Response:
    """POST /v3/blobs: keep the body under its media type."""
    who = await worker_of(request)
    kind = _kind_of(request)
    blob = await gate_of(request).blobs.write(who.user, kind, _body(request))
    return reply(_row(blob), 201, {"Location": f"{PATH}/{blob.id}"})


def _kind_of(request: Request) -> str:
    told = exchange_of(request).headers.get(b"content-type", b"").decode("latin-1")
    kind = told.partition(";")[0].strip().lower()
    allowed = gate_of(request).blob_kinds
    if not _KIND.fullmatch(kind) or not any(fnmatchcase(kind, one) for one in allowed):
        raise InvalidMessage(
            f"Blobs of the type {kind[:100]!r} are not kept; send one of {', '.join(allowed)}.",
            fields=[("Content-Type", "is not kept")],
        )
    return kind


async def _body(request: Request) -> AsyncIterator[bytes]:
    exchange = exchange_of(request)
    more = True
    while more:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def one(request: Request) -> Response:
    """GET and DELETE /v3/blobs/{id}, one route for both as with tasks."""
    return await (remove if request.method == "DELETE" else show)(request)


async def show(request: Request) -> Response:
    """GET /v3/blobs/{id}: the bytes as they were put in, or with `Range` a part of them."""
    who = await worker_of(request)
    blob = await _find(request, who)
    headers = {
        "ETag": f'"{blob.digest}"',
        "Accept-Ranges": "bytes",
        # What a user put in must not run in our name; nor may anybody change it on the way.
        "Cache-Control": "private, no-transform",
        "Content-Disposition": f'attachment; filename="{blob.id}"',
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    }
    if exchange_of(request).headers.get(b"if-none-match", b"").decode("latin-1") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    start, end = _range_of(request, blob)
    partial = (start, end) != (0, blob.size)
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=206 if partial else 200, headers=headers, media_type=blob.kind)
    parts = gate_of(request).blobs.read(who.user, blob, start, end - start)
    return Parts(parts, 206 if partial else 200, headers, blob.kind)


class Parts(StreamingResponse):
    """Streams bytes of a user's own, whose media type gets no `charset` from us."""

    def init_headers(self, headers: Any = None) -> None:
        """Write the head, the media type as it was told."""
        kind, self.media_type = self.media_type, None
        super().init_headers({**(headers or {}), "content-type": str(kind)})


def _range_of(request: Request, blob: Blob) -> tuple[int, int]:
    """Return which bytes are asked for: one range, or all as for ranges we do not read."""
    told = _RANGE.fullmatch(exchange_of(request).headers.get(b"range", b"").decode("latin-1"))
    if told is None or not (told[1] or told[2]):
        return 0, blob.size
    if not told[1]:
        start, end = max(0, blob.size - int(told[2])), blob.size
    else:
        start = int(told[1])
        end = min(int(told[2]) + 1, blob.size) if told[2] else blob.size
    if start >= end:
        headers = {"Content-Range": f"bytes */{blob.size}"}
        raise HTTPException(_UNSATISFIABLE, "there are no such bytes", headers)
    return start, end


async def about(request: Request) -> Response:
    """GET /v3/blobs/{id}/about: its size, type and digest."""
    return reply(_row(await _find(request, await worker_of(request))))


async def remove(request: Request) -> Response:
    """DELETE /v3/blobs/{id}: drop it."""
    who = await worker_of(request)
    blob = await _find(request, who)
    if blob.task is not None and await _lives(request, blob.task, who):
        raise InvalidParameters(
            f"The blob {blob.id!r} belongs to task {blob.task!r}, which has not ended.",
            fields=[("blobId", "belongs to a task that has not ended")],
        )
    await gate_of(request).blobs.remove(who.user, blob.id)
    return Response(status_code=204)


async def _lives(request: Request, task_id: str, who: Principal) -> bool:
    try:
        answer = await gate_of(request).tasks.get(task_id, who)
    except NotFound:
        return False
    return not TaskStatus(answer["status"]).terminal


async def _find(request: Request, who: Principal) -> Blob:
    blob_id = blob_id_of(request)
    blob = await gate_of(request).blobs.find(who.user, blob_id)
    if blob is None:
        raise _unknown(blob_id)
    return blob


def _unknown(blob_id: str) -> NotFound:
    return NotFound(f"There is no blob {blob_id!r} of yours.")


def _row(blob: Blob) -> dict[str, Any]:
    return {
        "blobId": blob.id,
        "contentType": blob.kind,
        "size": blob.size,
        "sha256": blob.digest,
        "createdAt": iso(blob.created_at),
        "taskId": blob.task,
    }


ROUTES = [
    Route(PATH, create, methods=["POST"]),
    Route(f"{PATH}/{{blob_id}}", one, methods=["GET", "DELETE"]),
    Route(f"{PATH}/{{blob_id}}/about", about, methods=["GET"]),
]
