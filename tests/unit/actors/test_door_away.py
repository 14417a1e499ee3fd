"""A door when things end, and when the tree is away."""

import asyncio
from dataclasses import replace

import pytest

from actors import asking as asking_module
from actors.door import Door
from actors.hosting import RouteTable
from cartrita.channel.address import Endpoints
from cartrita.channel.client import connect
from cartrita.errors import (
    ConfigurationInvalid,
    ServiceUnavailable,
    TaskTimeout,
)
from tests.support.processes import eventually
from tests.support.records import ADA
from tests.support.stage import begin, submit


class TestEnds:
    async def test_time_runs_out_while_it_runs(self, door, stage):
        answer = await submit(door, "test.hold", "late", within=0.05)
        assert (answer["status"], answer["errorCode"]) == ("TIMEOUT", "TASK_TIMEOUT")
        assert answer["retryable"]
        for text in stage.played:  # unless a busy machine let the time pass before
            assert await stage.cancelled() == text

    async def test_time_runs_out_while_it_waits(self, door, stage):
        running = [begin(door, "frail.hold", str(n)) for n in range(2)]
        for _ in running:
            await stage.begun()
        answer = await submit(door, "frail.hold", "late", within=0.05)
        assert (answer["status"], answer["errorCode"]) == ("TIMEOUT", "TASK_TIMEOUT")
        stage.release.set()
        await asyncio.gather(*running)
        assert "late" not in stage.played

    async def test_what_runs_is_cancelled(self, door, stage):
        running = begin(door, "test.once", "mine")
        await stage.begun()
        (task_id,) = await self.live(door)
        assert await door.cancel(task_id, ADA)
        answer = await running
        assert (answer["status"], answer["errorCode"]) == ("CANCELLED", "TASK_CANCELLED")
        assert not answer["retryable"]
        assert await stage.cancelled() == "mine"
        assert not await door.cancel(task_id, ADA)

    async def test_what_waits_is_cancelled(self, door, stage):
        running = [begin(door, "frail.hold", str(n)) for n in range(2)]
        for _ in running:
            await stage.begun()
        task_id = (await submit(door, "frail.hold", "mine", wait=False))["taskId"]
        assert await door.cancel(task_id, ADA)
        assert (await door.get(task_id, ADA))["status"] == "CANCELLED"
        stage.release.set()
        await asyncio.gather(*running)
        assert "mine" not in stage.played

    async def test_what_has_ended_is_not_cancelled(self, door):
        answer = await submit(door)
        assert not await door.cancel(answer["taskId"], ADA)
        assert await door.get(answer["taskId"], ADA) == answer

    @staticmethod
    async def live(door):
        return [task_id for task_id, story in door._stories.stories.items() if len(story) < 3]


class TestTree:
    async def test_every_shard_gives_an_account_of_itself(self, door):
        shown = {row["id"]: row for row in await door.supervisors()}
        assert set(shown) == {"intelligence/0", "multimodal/0", "system/0"}
        assert {row["state"] for row in shown.values()} == {"up"}
        hosts = {host["id"]: host for host in shown["system/0"]["hosts"]}
        assert hosts["system/0.shared.0"]["agents"] == ["echo"]
        assert hosts["system/0.shared.0"]["state"] == "up"
        assert shown["intelligence/0"]["hosts"][0]["state"] == "down"

    async def test_a_shard_that_does_not_answer_is_down(self, tree, door):
        await door.supervisors()
        tree.orchestrator._keepers["multimodal/0"].cancel()  # nobody starts it again
        await tree.supervisors["multimodal/0"].kill()
        shown = {row["id"]: row["state"] for row in await door.supervisors()}
        assert shown == {"intelligence/0": "up", "multimodal/0": "down", "system/0": "up"}

    async def test_the_table_is_kept_fresh_and_an_absent_orchestrator_survived(self, tree):
        answers = [ServiceUnavailable("away"), TaskTimeout("slow"), RouteTable(7, "b", {}, {}, "t")]

        class Moody:
            asked = 0

            async def routes(self):
                answer = answers[min(self.asked, 2)]
                self.asked += 1
                if isinstance(answer, Exception):
                    raise answer
                return answer

        following = Door(tree.catalog, Moody(), tree.tables, tree.clock, "following")
        follower = asyncio.create_task(following.routes.follow(period=0))
        known = following.routes
        assert await eventually(lambda: known._table and known._table.version == 7, 5)
        follower.cancel()
        with pytest.raises(asyncio.CancelledError):
            await follower


class TestAway:
    """The shard goes away and comes back, or does not."""

    async def test_a_shard_that_is_nowhere_is_unavailable_after_a_while(self, tree, monkeypatch):
        monkeypatch.setattr(asking_module, "ACCEPT_TIMEOUT", 0.02)
        monkeypatch.setattr(asking_module, "PAUSE", 0.001)

        class Lost:
            async def routes(self):
                return RouteTable(1, "b", {"system": 1}, {"system/0": "unix:/none"}, "t")

            async def locate(self, shard):
                raise ServiceUnavailable("restarting")

        door = Door(tree.catalog, Lost(), tree.tables, tree.clock, "lost")
        for wait in (True, False):
            with pytest.raises(ServiceUnavailable, match="taskId") as refused:
                await submit(door, wait=wait)
            assert refused.value.retry_after
        with pytest.raises(ServiceUnavailable):
            await door.routes.call("system/0", "status", None, 1)
        (row,) = await door.supervisors()
        assert row["state"] == "down"

    async def test_a_shard_on_a_node_that_settings_keep_us_from_is_refused_at_once(self, tree):
        class Apart:
            async def routes(self):
                apart = {"system/0": "unix:/run/a@node-b|tcp:-"}
                return RouteTable(1, "b", {"system": 1}, apart, "t")

        async def from_here(address, **options):
            return await connect(Endpoints.parse(address).pick("node-a"), **options)

        door = Door(tree.catalog, Apart(), tree.tables, tree.clock, "apart", connect=from_here)
        for wait in (True, False):
            with pytest.raises(ConfigurationInvalid, match=r"node 'node-b'.*channel\.tcp"):
                await submit(door, wait=wait)
        (row,) = await door.supervisors()
        assert row["state"] == "down"

    async def test_a_tree_started_anew_with_another_token_is_found_again(self, tree, monkeypatch):
        monkeypatch.setattr(asking_module, "PAUSE", 0.001)

        class Stale:
            """Knows the old token at first."""

            asked = 0

            async def routes(self):
                self.asked += 1
                table = await tree.routes()
                return replace(table, token="old") if self.asked == 1 else table

            async def locate(self, shard):
                return await tree.locate(shard)

        door = Door(tree.catalog, Stale(), tree.tables, tree.clock, "stale")
        assert (await submit(door))["status"] == "COMPLETED"
        door.close()

    async def test_a_shard_that_moved_is_asked_where_it_is(self, tree):
        class Outdated:
            async def routes(self):
                table = await tree.routes()
                return replace(table, addresses={"system/0": "unix:/none"})

            async def locate(self, shard):
                return await tree.locate(shard)

        door = Door(tree.catalog, Outdated(), tree.tables, tree.clock, "outdated")
        assert (await submit(door))["status"] == "COMPLETED"
        door.close()

    @pytest.mark.parametrize(("name", "end"), [("test.hold", "COMPLETED"), ("test.once", "FAILED")])
    async def test_whoever_waits_waits_on_without_haste_until_there_is_an_end(
        self, tree, door, stage, name, end
    ):
        asked = begin(door, name)
        await stage.begun()
        (task_id,) = await TestEnds.live(door)
        got = asyncio.create_task(door.get(task_id, ADA, 60))
        tree.orchestrator._keepers.pop("system/0").cancel()  # nobody starts it again
        await tree.supervisors["system/0"].kill()
        looks, story = 0, tree.tables.story

        class Counted:
            async def story(self, *asked):
                nonlocal looks
                looks += 1
                return await story(*asked)

        door._stories = Counted()
        assert not (await asyncio.wait([asked, got], timeout=0.5))[0]
        assert looks < 100
        stage.release.set()
        tree.orchestrator.follow_plan()
        assert (await asyncio.wait_for(asked, 5))["status"] == end
        assert (await asyncio.wait_for(got, 5))["status"] == end
