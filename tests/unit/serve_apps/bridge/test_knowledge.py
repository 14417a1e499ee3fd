"""A user's knowledge, as v2's front end keeps and finds it."""

import pytest

from actors.agents.librarian import Librarian
from cartrita.knowledge.forms import LONGEST
from cartrita.providers.ports import Embedder
from cartrita.storage.knowledge import Knowledge
from cartrita.storage.memory_knowledge import InMemoryKnowledge
from tests.support.bridged import bridged
from tests.support.fakes import WordEmbedder

ROOT = "/api/knowledge"
ENTRIES = f"{ROOT}/entries"


@pytest.fixture
async def api():
    kept = InMemoryKnowledge()
    ports = {Knowledge: kept, Embedder: WordEmbedder()}
    async with bridged(agents=(Librarian,), ports=ports, knowledge=kept) as api:
        api.ann, api.bob = await api.user("ann@b.example"), await api.user("bob@b.example")
        yield api


async def make(api, title, content, who=None, **more):
    body = {"title": title, "content": content} | more
    answer = await api.http.post(ENTRIES, json=body, headers=who or api.ann)
    assert answer.status_code == 201, answer.text
    return answer.json()["entry"]


async def get(api, path, who=None, **query):
    answer = await api.http.get(f"{ROOT}{path}", headers=who or api.ann, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def search(api, who=None, **body):
    asked = {"query": "refunds ten days", "threshold": 0.1} | body
    answer = await api.http.post(f"{ROOT}/search", json=asked, headers=who or api.ann)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def upload(api, name, data, who=None, **fields):
    files = {"file": (name, data, "text/plain")}
    return await api.http.post(f"{ROOT}/upload", files=files, data=fields, headers=who or api.ann)


async def test_an_entry_is_made_read_changed_and_deleted(api):
    told = {"content_type": "markdown", "category": "shop", "tags": ["a"], "importance_score": 0.9}
    made = await make(api, "Refunds", "Refunds take ten days", **told)
    assert {name: made[name] for name in told} == told
    assert (made["source_type"], made["file_name"]) == ("user_created", None)
    assert (await get(api, f"/entries/{made['id']}"))["entry"] == made
    answer = await api.http.put(f"{ENTRIES}/{made['id']}", json={"tags": "b, c"}, headers=api.ann)
    changed = answer.json()["entry"]
    assert (changed["tags"], changed["category"], changed["content"]) == (
        ["b", "c"],
        "shop",
        "Refunds take ten days",
    )
    gone = await api.http.delete(f"{ENTRIES}/{made['id']}", headers=api.ann)
    assert gone.json()["id"] == made["id"]
    for method in ("GET", "PUT", "DELETE"):
        answer = await api.http.request(
            method, f"{ENTRIES}/{made['id']}", headers=api.ann, json={} if method == "PUT" else None
        )
        assert (answer.status_code, answer.json()["error"]) == (404, "Entry not found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": "t"},
        {"title": "t", "content": " "},
        {"title": "t" * 501, "content": "c"},
        {"title": "t", "content": "c", "importance_score": 2},
        {"title": "t", "content": "c", "content_type": "film"},
    ],
)
async def test_what_is_no_entry_is_refused_in_v2s_words(api, body):
    answer = await api.http.post(ENTRIES, json=body, headers=api.ann)
    assert (answer.status_code, answer.json()["error"]) == (400, "Validation failed")


async def test_entries_are_listed_by_page_order_and_what_is_in_them(api):
    for title, category in (("B", "x"), ("A", "y"), ("C", "x")):
        await make(api, title, f"content of {title}", category=category, tags=[title])
    listed = await get(api, "/entries", sort_by="title", sort_order="asc", limit=2)
    assert [one["title"] for one in listed["entries"]] == ["A", "B"]
    assert listed["pagination"] == {
        "page": 1,
        "limit": 2,
        "offset": 0,
        "total": 3,
        "pages": 2,
        "has_more": True,
    }
    second = await get(api, "/entries", sort_by="title", sort_order="asc", limit=2, page=2)
    assert [one["title"] for one in second["entries"]] == ["C"]
    for query, titles in (
        ({"category": "x"}, {"B", "C"}),
        ({"tags": "A"}, {"A"}),
        ({"search": "OF c"}, {"C"}),
        ({"content_type": "code"}, set()),
    ):
        assert {one["title"] for one in (await get(api, "/entries", **query))["entries"]} == titles
    for query in ({"limit": 0}, {"limit": -1}, {"offset": "-5"}, {"offset": "1.0e300"}):
        for path in (ENTRIES, f"{ROOT}/documents"):
            answer = await api.http.get(path, params=query, headers=api.ann)
            assert answer.status_code == 400, answer.text
    for query in ({"sort_by": "secret"}, {"search": "a\0b"}, {"tags": ["a", "\0"]}, {"page": 0}):
        wrong = await api.http.get(ENTRIES, headers=api.ann, params=query)
        assert (wrong.status_code, wrong.json()["error"]) == (400, "Validation failed")
    assert await get(api, "/categories") == {
        "success": True,
        "categories": [{"name": "x", "count": 2}, {"name": "y", "count": 1}],
    }


async def test_the_front_ends_search_finds_each_entry_once(api):
    made = await make(api, "Refunds", "Refunds take ten days", category="shop", tags=["a"])
    await make(api, "Sea", "blue water")
    body = await search(api)
    (result,) = body["results"]
    assert result == {
        "id": made["id"],
        "title": "Refunds",
        "content": "Refunds take ten days",
        "content_type": "text",
        "category": "shop",
        "tags": ["a"],
        "importance_score": 0.5,
        "similarity_score": result["similarity_score"],
        "score": 1.0,
        "search_type": "hybrid",
        "snippet": "Refunds take ten days",
        "created_at": made["created_at"],
        "updated_at": made["updated_at"],
    }
    assert 0.1 < result["similarity_score"] < 1
    meta = body["meta"]
    assert (meta["query"], meta["search_type"], meta["total_results"]) == (
        "refunds ten days",
        "hybrid",
        1,
    )
    assert meta["duration_ms"] >= 0
    assert (await search(api, search_type="fulltext"))["results"][0]["search_type"] == "fulltext"
    assert (await search(api, search_type="semantic"))["results"][0]["search_type"] == "semantic"
    assert (await search(api, category="none"))["results"] == []
    wrong = await api.http.post(
        f"{ROOT}/search", json={"query": "x", "search_type": "odd"}, headers=api.ann
    )
    assert (wrong.status_code, wrong.json()["error"]) == (400, "Validation failed")


async def test_an_uploaded_text_becomes_a_document_and_is_found_by_its_pieces(api):
    text = "Refunds take ten days. " * 100
    answer = await upload(api, "refunds.md", text.encode(), category="shop", tags="a, b")
    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert (done["success"], done["status"]) == (True, "completed")
    assert done["processing_time"] >= 0
    assert len(done["content_hash"]) == 64
    found = await get(api, "/search", q="refunds ten days", threshold=0.1, limit=2)
    first = found["results"][0]
    assert (first["document_id"], first["document_title"]) == (done["document_id"], "refunds")
    assert first["file_type"] == "text/markdown"
    assert first["chunk_id"] == f"{first['document_id']}:{first['chunk_index']}"
    assert first["chunk_text"].startswith("Refunds take")
    assert found["resultCount"] == len(found["results"]) == 2
    assert found["queryId"]
    assert "generated_response" in found
    document = (await get(api, f"/documents/{done['document_id']}"))["document"]
    assert document["content"] == text
    assert (document["file_name"], document["tags"]) == ("refunds.md", ["a", "b"])
    await make(api, "No file", "text")
    documents = await get(api, "/documents")
    assert [one["id"] for one in documents["documents"]] == [done["document_id"]]
    assert documents["pagination"] == {"total": 1, "limit": 50, "offset": 0, "has_more": False}
    gone = await api.http.delete(f"{ROOT}/documents/{done['document_id']}", headers=api.ann)
    assert gone.status_code == 200
    assert (await get(api, "/search", q="refunds ten days", threshold=0.1))["results"] == []


async def test_what_cannot_be_kept_is_told_by_its_status(api):
    first = (await upload(api, "a.txt", b"the same")).json()
    again = await upload(api, "b.txt", b"the same")
    assert again.status_code == 409
    assert again.json()["existing_document_id"] == first["document_id"]
    for name, data, status in (
        ("a.pdf", b"%PDF", 415),
        ("a.docx", b"PK", 415),
        ("a.txt", b"\xff\xff\xff", 400),
        ("a.txt", b"x" * ((10 << 20) + 1), 413),
        ("a.txt", b"x " * LONGEST, 413),
    ):
        answer = await upload(api, name, data)
        assert answer.status_code == status, name
        assert answer.json()["success"] is False
    missing = await api.http.post(f"{ROOT}/upload", data={"title": "t"}, headers=api.ann)
    assert (missing.status_code, missing.json()["error"]) == (400, "No file uploaded")
    assert (await api.http.get(f"{ROOT}/search", headers=api.ann)).status_code == 400


async def test_a_generated_response_needs_a_model_and_says_so(api):
    await make(api, "Refunds", "Refunds take ten days")
    query = {"q": "refunds", "generate_response": "true"}
    answer = await api.http.get(f"{ROOT}/search", headers=api.ann, params=query)
    assert answer.status_code == 400  # this gateway has no agent that could
    assert answer.json()["code"] == "INVALID_TASK_TYPE"


async def test_the_graph_and_its_relatives_show_what_is_alike(api):
    ids = {}
    for title, text in (("A", "red red apple"), ("B", "red apple red"), ("C", "blue sea")):
        ids[title] = (await make(api, title, text))["id"]
    graph = await get(api, "/graph", min_strength=0.5)
    assert graph["meta"] == {"node_count": 3, "edge_count": 1, "cluster_count": 3}
    (edge,) = graph["edges"]
    assert {edge["source"], edge["target"]} == {ids["A"], ids["B"]}
    assert graph["graph"]["nodes"] == graph["nodes"]
    assert graph["graph"]["stats"] == {"total_nodes": 3, "total_edges": 1}
    assert {node["id"] for node in graph["nodes"]} == set(ids.values())
    related = await get(api, "/relationships", document_id=ids["A"])
    assert [one["relationship_type"] for one in related["relationships"]] == ["similarity"]
    assert (await get(api, "/relationships", document_id=ids["C"]))["count"] == 0
    answer = await api.http.post(
        f"{ROOT}/cluster-entries", json={"num_clusters": 2}, headers=api.ann
    )
    assert [set(one["entries"]) for one in answer.json()["clusters"]] == [
        {ids["A"], ids["B"]},
        {ids["C"]},
    ]
    assert len((await get(api, "/clusters", limit=2))["clusters"]) == 2


async def test_counts_are_those_of_what_is_there(api):
    await make(api, "A", "ab cd")
    await upload(api, "a.txt", b"ef")
    analytics = (await get(api, "/analytics"))["analytics"]
    assert analytics == {
        "total_entries": 2,
        "total_documents": 1,
        "total_chunks": 2,
        "total_characters": 7,
        "last_updated": analytics["last_updated"],
    }
    assert (await get(api, "/stats"))["stats"]["chunks"] == 2
    assert (await get(api, "/processing-status"))["status"] == {
        "completed": 2,
        "processing": 0,
        "is_processing": False,
    }
    assert (await get(api, "/health"))["status"] == "healthy"
    for path, name in (("/collections", "collections"), ("/extractions", "extractions")):
        assert (await get(api, path))[name] == []
    for path in ("/clusters", "/relationships"):
        answer = await api.http.post(f"{ROOT}{path}", json={}, headers=api.ann)
        assert (answer.status_code, answer.json()["reason"]) == (501, "LATER")


async def test_nobody_finds_reads_changes_or_deletes_what_is_anothers(api):
    made = await make(api, "Refunds", "Refunds take ten days")
    assert (await search(api, api.bob))["results"] == []
    assert (await get(api, "/entries", api.bob))["entries"] == []
    assert (await get(api, "/graph", api.bob))["nodes"] == []
    assert (await get(api, "/analytics", api.bob))["analytics"]["total_entries"] == 0
    for method, body in (("GET", None), ("PUT", {"title": "stolen"}), ("DELETE", None)):
        answer = await api.http.request(
            method, f"{ENTRIES}/{made['id']}", headers=api.bob, json=body
        )
        assert answer.status_code == 404
    assert (await get(api, f"/entries/{made['id']}"))["entry"]["title"] == "Refunds"


@pytest.mark.parametrize("path", ["/search?q=x", "/entries", "/documents", "/graph", "/stats"])
async def test_there_is_no_knowledge_without_a_token(api, path):
    assert (await api.http.get(f"{ROOT}{path}")).status_code == 401
