"""A driver of an instance's Ray, with a door to its tree: what benchmarks without HTTP use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from actors import spawn
from actors.directory import RayDirectory, open_door
from actors.door import Door
from actors.setup import Network
from cartrita.config.load import load_settings
from cartrita.storage.postgres.stories import PostgresStories
from serve_apps.main import place_of, tree_config


@asynccontextmanager
async def joined(address: str) -> AsyncIterator[Door]:
    """Join the Ray of an instance as a driver, and open a door to its tree."""
    settings = load_settings()
    spawn.connect(address, settings.instance)
    config = tree_config(settings, place_of(settings))
    nowhere = "postgresql://nobody@127.0.0.1:1/none"  # no task is read back, so none is opened
    async with asyncpg.create_pool(nowhere, min_size=0, max_size=1) as pool:
        directory, stories = RayDirectory(settings.instance), PostgresStories(pool)
        door = open_door(config, directory, stories, "benchmark", Network(config))
        yield door
        door.close()
    spawn.disconnect()
