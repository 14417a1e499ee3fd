"""Opens what users look things up in."""

from collections.abc import Callable
from typing import Any

import asyncpg

from cartrita.storage.knowledge import Knowledge


def knowledge_openers() -> dict[Any, Callable[[Any], Any]]:
    """Return how it is opened."""
    return {Knowledge: open_knowledge}


async def open_knowledge(services: Any) -> Knowledge:
    """Return the store in the database."""
    from cartrita.storage.postgres.knowledge import PostgresKnowledge  # noqa: PLC0415

    return PostgresKnowledge(await services.get(asyncpg.Pool))
