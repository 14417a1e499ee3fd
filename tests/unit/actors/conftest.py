"""A tree in one process, and the stage its agents play on."""

import pytest

from tests.support.stage import Stage, stage_tree


@pytest.fixture
async def stage():
    """Give the place where a test meets the work."""
    return Stage()


@pytest.fixture
async def tree(stage):
    """Run all tiers with the agents of `tests.support.stage`."""
    async with stage_tree(stage) as running:
        yield running


@pytest.fixture
def door(tree):
    """Give the way into that tree."""
    return tree.door


@pytest.fixture
def hasty(monkeypatch):
    """Look again at once for a shard that went away."""
    monkeypatch.setattr("actors.door.PAUSE", 0.001)
    monkeypatch.setattr("actors.asking.PAUSE", 0.001)


@pytest.fixture
def restless(hasty, monkeypatch):
    """Let nothing rest, neither a task that failed nor effects of an earlier supervisor."""
    monkeypatch.setattr("actors.effects.CALM", 0.0)
    monkeypatch.setattr("actors.attempt.FIRST_REST", 0.001)
