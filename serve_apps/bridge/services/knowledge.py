"""A user's knowledge in v2's shapes: documents are the entries that came as files."""

from pathlib import PurePath
from typing import Any
from uuid import UUID

from cartrita.clock import iso
from cartrita.errors import InvalidParameters, NotFound, ResourceLimitExceeded
from cartrita.knowledge.forms import LONGEST
from cartrita.knowledge.reading import text_of
from cartrita.protocol.task import TaskStatus
from cartrita.storage.knowledge import Entry, Holder, Order, Scope
from cartrita.storage.listing import Wanted
from serve_apps.bridge.answers import Refusal
from serve_apps.bridge.calls import Call
from serve_apps.bridge.services.inputs import storable
from serve_apps.bridge.services.permits import permitted

QUERY = "memory.knowledge_graph.query"
UPSERT = "memory.knowledge_graph.upsert"
ANSWER = "memory.knowledge_graph.answer"
MAP = "memory.knowledge_graph.map"

MOST = 100
"""Entries of a page."""

ORDERS: dict[str, Order] = {
    "created_at": "created_at",
    "updated_at": "updated_at",
    "title": "title",
    "importance_score": "importance_score",
}
_UNDER_WAY = frozenset(status for status in TaskStatus if not status.terminal)


async def search(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Find pieces by meaning and, where that is wanted, have a model answer from them."""
    answered = params.pop("answer", None)
    found, seen = await call.run(QUERY, params)
    if not answered:
        return {"found": found, "answer": None, "task": seen}
    asked = {"question": params.get("query"), "ids": params.get("ids")}
    asked |= {"threshold": params.get("threshold")}
    told = await call.ran(ANSWER, {name: it for name, it in asked.items() if it is not None})
    return {"found": found, "answer": told.result["answer"], "task": seen}


async def upload(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Read a file as text and keep it.

    Raises:
        Refusal: It is kept already.
        CartritaError: It is nothing that can be read.
    """
    file = call.files["file"][0]
    text, kind = text_of(file.name, file.data)
    if len(text) > LONGEST:
        raise ResourceLimitExceeded(f"A document may have {LONGEST} characters: split it.")
    about = {"name": PurePath(file.name).name[-255:], "kind": kind, "size": len(file.data)}
    title = params.pop("title", None) or PurePath(file.name).stem[:500]
    told = params | {"title": title, "content": text, "contentType": "file", "file": about}
    done = await call.run(UPSERT, told | {"sourceType": "imported", "unique": True})
    result: dict[str, Any] = done.result
    if result["status"] == "duplicate":
        raise Refusal(409, "Document already exists", existing_document_id=result["id"])
    return result


async def entries(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Return a page of entries."""
    storable(params)
    order = ORDERS.get(params.get("sort_by", "updated_at"))
    way = str(params.get("sort_order", "desc")).lower()
    if order is None or way not in ("asc", "desc"):
        raise InvalidParameters(f"Sort by {', '.join(ORDERS)}, asc or desc.")
    limit = min(params.get("limit", 50), MOST)
    page = params.get("page")
    offset = (page - 1) * limit if page else params.get("offset", 0)
    scope = Scope(
        category=params.get("category"),
        content_type=params.get("content_type"),
        tags=tuple(params.get("tags", ())),
        files=bool(params.get("files")),
        words=params.get("words"),
    )
    found, total = await call.gate.knowledge.page(
        _reader(call), scope, (order, way == "desc"), limit, offset
    )
    return {
        "entries": [_row(one) for one in found],
        "page": {
            "page": page or offset // limit + 1,
            "limit": limit,
            "offset": offset,
            "total": total,
            "pages": -(-total // limit),
            "has_more": offset + len(found) < total,
        },
    }


async def entry(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Return an entry with all of its content."""
    return _row(await _found(call, _reader(call), params))


async def create(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Keep a new entry and return it."""
    result = (await call.run(UPSERT, params)).result
    return _row(await _found(call, _reader(call), result))


async def change(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Replace what is told of an entry, leaving the rest."""
    kept = await _found(call, _reader(call), params)
    await call.run(UPSERT, _form(kept) | params | {"id": str(kept.id)})
    return _row(await _found(call, _reader(call), params))


async def remove(call: Call, params: dict[str, Any]) -> dict[str, Any]:
    """Delete an entry."""
    who = permitted(call, f"tasks:{UPSERT}")
    entry_id = _id(params)
    if not await call.gate.knowledge.remove(Holder(who.tenant, who.user), entry_id):
        raise NotFound(f"There is no entry '{entry_id}' of yours.")
    return {"id": str(entry_id)}


async def categories(call: Call, _params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the categories that entries have."""
    found = await call.gate.knowledge.categories(_reader(call))
    return [{"name": name, "count": count} for name, count in found]


async def sums(call: Call, _params: dict[str, Any]) -> dict[str, Any]:
    """Count what there is, and what is under way."""
    holder = _reader(call)
    found = await call.gate.knowledge.sums(holder)
    wanted = Wanted(user=holder.user, task_type=UPSERT, statuses=_UNDER_WAY)
    running = await call.gate.listing.page(wanted, MOST, None)
    return {
        "entries": found.entries,
        "documents": found.files,
        "chunks": found.chunks,
        "characters": found.size,
        "processing": len(running),
        "updated_at": None if found.last_at is None else iso(found.last_at),
    }


async def relationships(call: Call, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return which entries are alike, perhaps only those that one is like."""
    least = params.get("least")
    asked = {"clusters": 0} | ({} if least is None else {"minStrength": least})
    found = (await call.run(MAP, asked)).result
    wanted = params.get("id")
    return [
        {
            "source_id": edge["source"],
            "target_id": edge["target"],
            "relationship_type": "similarity",
            "strength": edge["strength"],
        }
        for edge in found["edges"]
        if wanted in (None, edge["source"], edge["target"])
    ]


def _reader(call: Call) -> Holder:
    who = permitted(call, f"tasks:{QUERY}")
    return Holder(who.tenant, who.user)


def _id(params: dict[str, Any]) -> UUID:
    try:
        return UUID(str(params.get("id")))
    except ValueError:
        raise NotFound(f"There is no entry {str(params.get('id'))[:60]!r}.") from None


async def _found(call: Call, holder: Holder, params: dict[str, Any]) -> Entry:
    entry_id = _id(params)
    found = await call.gate.knowledge.find(holder, entry_id)
    if found is None:
        raise NotFound(f"There is no entry '{entry_id}' of yours.")
    return found


def _row(one: Entry) -> dict[str, Any]:
    file = one.file
    return {
        "id": str(one.id),
        "title": one.title,
        "content": one.content,
        "content_type": one.content_type,
        "category": one.category,
        "subcategory": one.subcategory,
        "tags": list(one.tags),
        "importance_score": one.importance,
        "source_type": one.source_type,
        "source_url": one.source_url,
        "file_name": file.name if file else None,
        "file_type": file.kind if file else None,
        "file_size": file.size if file else None,
        "content_hash": one.digest,
        "chunk_count": one.chunks,
        "status": "completed",
        "created_at": iso(one.created_at),
        "updated_at": iso(one.updated_at),
    }


def _form(one: Entry) -> dict[str, Any]:
    """Return an entry as the task takes it."""
    file = one.file
    told = {
        "title": one.title,
        "content": one.content,
        "contentType": one.content_type,
        "category": one.category,
        "subcategory": one.subcategory,
        "tags": list(one.tags),
        "importanceScore": one.importance,
        "sourceType": one.source_type,
        "sourceUrl": one.source_url,
        "file": {"name": file.name, "kind": file.kind, "size": file.size} if file else None,
    }
    return {name: value for name, value in told.items() if value is not None}
