"""The tree in one process."""

import asyncio

import pytest

from actors.hosting import Limits
from cartrita.channel.client import connect
from cartrita.errors import ChannelLost, ServiceUnavailable
from cartrita.storage.memory_journal import JournalTables
from tests.support.processes import eventually
from tests.support.records import ADA
from tests.support.stage import host_of, request, stage_tree


async def echo(tree, text="hello"):
    return await tree.door.submit(request(text=text), ADA, wait=True)


async def test_it_runs_every_tier_over_real_channels(tree):
    assert (await echo(tree))["status"] == "COMPLETED"
    assert set(tree.supervisors) == {"intelligence/0", "multimodal/0", "system/0"}
    assert tree.orchestrator.snapshot()["state"] == "up"
    assert any(path.suffix == ".sock" for path in tree.folder.iterdir())


async def test_when_it_ends_nothing_is_left(stage):
    async with stage_tree(stage) as tree:
        await echo(tree)
        addresses = [handle.info.address for handle in tree.supervisors.values()]
        hosts = list(tree.hosts.started)
        folder = tree.folder
        before = asyncio.all_tasks()
        assert len(before) > 5
    assert all(host.died.done() for host in hosts)
    assert not folder.exists()
    for address in addresses:
        with pytest.raises(ChannelLost):
            await connect(address, token="local", peer="late")
    assert await eventually(lambda: len(asyncio.all_tasks()) == 1, 5)


async def test_its_bounds_are_those_it_was_given(stage):
    async with stage_tree(stage, limits=Limits(queue=7, concurrency=3)) as tree:
        assert tree.supervisors["system/0"].supervisor.snapshot()["capacity"] == 3


async def test_its_journal_may_outlive_it(stage):
    tables = JournalTables()
    async with stage_tree(stage, tables=tables) as tree:
        first = await echo(tree)
    async with stage_tree(stage, tables=tables) as tree:
        assert await tree.door.get(first["taskId"], ADA) == first


async def test_a_host_that_is_killed_says_so_and_is_replaced(tree):
    await echo(tree)
    host = host_of(tree, "echo")
    await host.kill()
    await host.kill()
    assert host.died.result() == "killed"
    assert (await echo(tree))["status"] == "COMPLETED"
    assert host_of(tree, "echo") is not host


async def test_a_killed_host_takes_its_own_providers_with_it_and_no_others(tree):
    await echo(tree)
    lives, dies = host_of(tree, "frail"), host_of(tree, "echo")
    await dies.kill()
    assert not dies._host._services._open
    assert lives._host._services._open


async def test_a_killed_supervisor_writes_nothing_more_and_is_replaced(tree, stage):
    asked = asyncio.create_task(tree.door.submit(request("test.hold"), ADA, wait=True))
    await stage.begun()
    (task_id,) = tree.tables.stories
    killed = tree.supervisors["system/0"]
    await killed.kill()
    assert killed.died.result() == "killed"
    assert len(await tree.tables.story(task_id)) == 1
    stage.release.set()
    assert (await asked)["status"] == "COMPLETED"
    story = await tree.tables.story(task_id)
    assert [event.epoch for event in story] == [1, 2]
    await killed.kill()
    assert (await echo(tree))["status"] == "COMPLETED"


async def test_a_shard_that_never_ran_cannot_be_located(tree):
    with pytest.raises(ServiceUnavailable, match="'system/9'"):
        await tree.locate("system/9")
    assert await tree.locate("system/0") == tree.supervisors["system/0"].info.address
