"""Tests of actors/agents/librarian.py."""

from dataclasses import replace

import pytest

from actors.agents.librarian import Librarian
from cartrita.clock import ManualClock, new_id
from cartrita.errors import InvalidParameters, NotFound
from cartrita.protocol.principal import Principal
from cartrita.providers.ports import Embedder
from cartrita.storage.knowledge import Knowledge
from cartrita.storage.memory_knowledge import InMemoryKnowledge
from cartrita.testing import run_task
from tests.support.fakes import WordEmbedder

UPSERT, QUERY, MAP = (f"memory.knowledge_graph.{name}" for name in ("upsert", "query", "map"))
ANN = Principal(user="ann", tenant="acme")
BOB = Principal(user="bob", tenant="acme")


class Shelf:
    """A librarian, and what it keeps."""

    def __init__(self):
        self.embedder = WordEmbedder()
        self.providers = {Knowledge: InMemoryKnowledge(), Embedder: self.embedder}
        self.clock = ManualClock(1_700_000_000.0)
        self.warnings = []

    async def run(self, task, params, principal=ANN, **context):
        told = {"principal": principal, "clock": self.clock, "warnings": self.warnings} | context
        return (await run_task(Librarian, task, params, self.providers, **told)).to_wire()

    async def put(self, content, title="A title", **more):
        principal = more.pop("principal", ANN)
        return await self.run(UPSERT, {"title": title, "content": content} | more, principal)

    async def titles(self, query, principal=ANN, **more):
        asked = {"query": query, "threshold": 0.1} | more
        return [hit["title"] for hit in (await self.run(QUERY, asked, principal))["hits"]]


@pytest.fixture
def shelf():
    return Shelf()


async def test_what_is_kept_is_found_with_all_that_belongs_to_it(shelf):
    file = {"name": "refunds.md", "kind": "text/markdown", "size": 21}
    facts = {"category": "shop", "tags": ["a", "b", "a"], "importanceScore": 0.8, "file": file}
    made = await shelf.put("Refunds take ten days", "Refunds", contentType="file", **facts)
    assert (made["status"], made["chunks"]) == ("created", 1)
    found = await shelf.run(QUERY, {"query": "refunds ten days"})
    (hit,) = found["hits"]
    assert hit == {
        "id": made["id"],
        "place": 0,
        "text": "Refunds take ten days",
        "snippet": "Refunds take ten days",
        "title": "Refunds",
        "contentType": "file",
        "category": "shop",
        "tags": ["a", "b"],
        "importanceScore": 0.8,
        "file": file,
        "score": 1.0,
        "similarity": hit["similarity"],
        "foundBy": "hybrid",
        "createdAt": "2023-11-14T22:13:20.000+00:00",
        "updatedAt": "2023-11-14T22:13:20.000+00:00",
    }
    assert 0.5 < hit["similarity"] < 1
    assert found["model"] == "fake/words"


async def test_each_way_of_searching_finds_what_it_should(shelf):
    await shelf.put("alpha beta", "One")
    await shelf.put("beta gamma delta epsilon", "Two")
    assert await shelf.titles("alpha beta", searchType="fulltext") == ["One"]
    assert await shelf.titles("alpha beta", searchType="semantic") == ["One", "Two"]
    assert await shelf.titles("alpha beta") == ["One", "Two"]
    assert await shelf.titles("alpha beta", searchType="semantic", threshold=0.5) == ["One"]
    (hit,) = (await shelf.run(QUERY, {"query": "alpha", "searchType": "fulltext"}))["hits"]
    assert "similarity" not in hit


async def test_a_long_text_is_found_by_its_pieces_or_once(shelf):
    text = "\n\n".join(f"needle number {n} {'x ' * 400}" for n in range(4))
    made = await shelf.put(text)
    assert made["chunks"] >= 4
    assert len(await shelf.titles("needle", searchType="fulltext")) >= 4
    assert len(await shelf.titles("needle", searchType="fulltext", distinct=True)) == 1


async def test_a_search_keeps_to_the_entries_it_is_told(shelf):
    one = await shelf.put("word", "One", tags=["x"])
    await shelf.put("word too", "Two", category="other")
    assert await shelf.titles("word", ids=[one["id"]]) == ["One"]
    assert await shelf.titles("word", category="other") == ["Two"]
    assert await shelf.titles("word", tags=["x"]) == ["One"]


async def test_users_of_one_tenant_see_nothing_of_each_others(shelf):
    made = await shelf.put("secret word")
    assert await shelf.titles("secret word", BOB) == []
    assert (await shelf.run(MAP, {}, BOB))["nodes"] == []
    with pytest.raises(NotFound):
        await shelf.put("stolen", id=made["id"], principal=BOB)
    assert await shelf.titles("secret word") == ["A title"]


async def test_a_task_that_runs_again_makes_no_second_entry(shelf):
    context = {"task_id": new_id()}
    first = await shelf.run(UPSERT, {"title": "t", "content": "c"}, **context)
    again = await shelf.run(UPSERT, {"title": "t", "content": "c"}, **context)
    assert first["id"] == again["id"]
    assert len((await shelf.run(MAP, {}))["nodes"]) == 1


async def test_replacing_embeds_again_only_what_reads_otherwise(shelf):
    made = await shelf.put("the text", "Title")
    shelf.embedder.asked.clear()
    shelf.clock.advance(10)
    told = {"id": made["id"], "tags": ["new"]}
    changed = await shelf.put("the text", "Title", **told)
    assert (changed["status"], changed["id"]) == ("updated", made["id"])
    assert shelf.embedder.asked == []
    assert changed["createdAt"] == made["createdAt"] < changed["updatedAt"]
    assert changed["chunks"] == 1
    await shelf.put("another text", "Title", **told)
    assert len(shelf.embedder.asked) == 1
    assert await shelf.titles("another", tags=["new"], searchType="fulltext") == ["Title"]
    assert await shelf.titles("the", searchType="fulltext") == []


async def test_the_same_content_again_is_told_and_not_kept_where_it_shall_be_unique(shelf):
    made = await shelf.put("same", "One")
    again = await shelf.put("same", "Two", unique=True)
    assert (again["status"], again["id"]) == ("duplicate", made["id"])
    assert (await shelf.put("same", "Three"))["status"] == "created"
    assert (await shelf.put("same", unique=True, principal=BOB))["status"] == "created"


async def test_who_finds_nothing_is_told_of_what_another_model_made(shelf, monkeypatch):
    await shelf.put("ours")
    monkeypatch.setattr(WordEmbedder, "info", replace(WordEmbedder.info, model="fake/new"))
    assert await shelf.titles("ours", searchType="semantic") == []
    assert "'fake/words'" in shelf.warnings[0]
    assert await shelf.titles("ours", searchType="fulltext") == ["A title"]


async def test_the_map_shows_what_is_alike(shelf):
    ids = {}
    for title, text in (("A", "red red apple"), ("B", "red apple red"), ("C", "blue sea")):
        ids[title] = (await shelf.put(text, title))["id"]
    found = await shelf.run(MAP, {"minStrength": 0.5, "clusters": 2})
    assert {node["id"] for node in found["nodes"]} == set(ids.values())
    (edge,) = found["edges"]
    assert {edge["source"], edge["target"]} == {ids["A"], ids["B"]}
    assert [set(one["entries"]) for one in found["clusters"]] == [{ids["A"], ids["B"]}, {ids["C"]}]
    assert found["clusters"][1]["label"] == "C"
    assert {node["title"]: node["cluster"] for node in found["nodes"]} == {"A": 0, "B": 0, "C": 1}


async def test_examples_run_and_nothing_unknown_is_taken(shelf):
    for spec in Librarian.spec.tasks:
        assert await shelf.run(spec.name, spec.example)
    with pytest.raises(InvalidParameters):
        await shelf.put("x", unknown=1)
    with pytest.raises(InvalidParameters):
        await shelf.put("  ")
