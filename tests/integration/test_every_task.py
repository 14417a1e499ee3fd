"""Every task type of the catalogue runs its own example through the whole tree.

Once with nothing but what is built in, and once with a language model at the other end of
a socket.
"""

import asyncio
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from cartrita.catalog import discover
from cartrita.config.databases import Postgres
from cartrita.config.sections import Models
from cartrita.config.settings import Settings
from cartrita.services import open_services
from cartrita.storage.postgres.effects import PostgresEffectBook
from cartrita.storage.postgres.stories import PostgresStories
from tests.support.durable_tree import DurableTree
from tests.support.honesty import honest
from tests.support.obliging_model import oblige
from tests.support.openai_server import serving
from tests.support.stage import submit

CATALOG = discover("actors.agents")


@asynccontextmanager
async def whole_tree(url, home, **models):
    """Run the tree as the settings make it, over a database."""
    settings = Settings(home=home, postgres=Postgres(url=url), models=Models(**models))
    services = open_services(settings)
    with tempfile.TemporaryDirectory(prefix="cte-", dir="/tmp") as folder:
        async with asyncpg.create_pool(url, min_size=0, max_size=4) as pool:
            kept = {"stories": PostgresStories(pool), "book": PostgresEffectBook(pool)}
            tree = DurableTree(url, CATALOG, services, Path(folder), **kept)
            await tree.operations.start({})
            try:
                yield tree
            finally:
                tree.door.close()
                await tree.orchestrator.stop(grace=1.0)
                await services.close()


async def ends(tree):
    """Run each type's example and return what became of it."""
    names = [name for name, spec in CATALOG.tasks.items() if spec.example is not None]
    runs = [submit(tree.door, name, parameters=CATALOG.task(name).example) for name in names]
    return dict(zip(names, await asyncio.gather(*runs), strict=True))


def told(response):
    return f"{response['status']} {response.get('errorCode')} {response.get('errorMessage')}"


WRITERS = {
    "analytics.chart.render",
    "analytics.data.query",
    "analytics.metrics.calculate",
    "analytics.report.generate",
    "analytics.run_query",
    "analytics.trend.analyze",
    "bias.detect",
    "comedian.generate_joke",
    "data.analyze",
    "data.process",
    "emotion.analysis",
    "translation.detect_translate",
    "translation.translate_text",
    "writer.blog.post",
    "writer.compose",
    "writer.content.create",
    "writer.content.edit",
    "writer.content.summarize",
    "writer.email.compose",
}
"""Names that clients of the seed know, or that stand beside those."""


def test_the_names_are_there():
    assert set(CATALOG.names) >= WRITERS


def test_every_type_has_an_example():
    assert [name for name, spec in CATALOG.tasks.items() if spec.example is None] == []


async def test_with_what_is_built_in_each_task_is_done_or_names_what_it_lacks(
    database_url, tmp_path
):
    async with whole_tree(database_url, tmp_path) as tree:
        found = await ends(tree)
    assert {name: told(end) for name, end in found.items() if not honest(name, end)} == {}
    done = [end["result"] for end in found.values() if end["status"] == "COMPLETED"]
    assert [result for result in done if result.get("generative")] == []
    assert len(done) >= len(found) // 2


async def test_with_a_language_model_each_task_that_needs_one_is_done(database_url, tmp_path):
    async with serving(oblige) as server:
        models = {"openai_api_key": "sk-test", "openai_base_url": server.base_url}
        async with whole_tree(database_url, tmp_path, **models) as tree:
            found = await ends(tree)
    undone = {name: told(end) for name, end in found.items() if end["status"] != "COMPLETED"}
    lacking = {name for name, end in found.items() if _lacks_more(name, end)}
    assert {name: why for name, why in undone.items() if name not in lacking} == {}
    written = {name for name, end in found.items() if (end.get("result") or {}).get("generative")}
    assert {"writer.content.create", "comedian.generate_joke", "langchain.chat.execute"} <= written


def _lacks_more(name, end):
    """Tell whether a task is undone for want of something other than a chat model."""
    return honest(name, end) and "OPENAI_API_KEY" not in (end.get("errorMessage") or "")
