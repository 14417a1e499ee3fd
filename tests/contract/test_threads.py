"""What every implementation of the ports Checkpoints and Conversations promises."""

import operator
from typing import Annotated, TypedDict

import asyncpg
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import END, START, StateGraph

from cartrita.agency.saver import Saver
from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable
from cartrita.storage.memory_threads import InMemoryCheckpoints, InMemoryConversations
from cartrita.storage.postgres.threads import PostgresCheckpoints, PostgresConversations
from cartrita.storage.threads import Kept, Owner, Turn, Write


@pytest.fixture
def thread():
    return f"thread-{new_id()}"


def kept(thread, number=1, space="", **more):
    fields = {"parent": None, "kind": "msgpack", "data": b"\x00data", "notes_kind": "n"} | more
    return Kept(thread, space, f"c{number}", notes=b"notes", **fields)


def write(place, task="t", **more):
    fields = {"channel": "x", "kind": "k", "data": b"1", "path": ""} | more
    return Write(task, place, **fields)


class Steps(TypedDict):
    steps: Annotated[list[str], operator.add]


def graph(saver, *, fails=()):
    """Return a graph of two steps; those in `fails` raise."""

    def step(name):
        async def work(state):
            if name in fails:
                raise RuntimeError(name)
            return {"steps": [name]}

        return work

    made = StateGraph(Steps)
    for name in ("one", "two"):
        made.add_node(name, step(name))
    made.add_edge(START, "one")
    made.add_edge("one", "two")
    made.add_edge("two", END)
    return made.compile(checkpointer=saver)


class CheckpointsContract:
    """Subclass it with a fixture `store`."""

    async def test_gives_back_the_last_one_and_any_one_by_its_id(self, store, thread):
        first, second = kept(thread, 1), kept(thread, 2, parent="c1")
        for item in (first, second):
            await store.put(item)
        assert await store.latest(thread, "") == second
        assert await store.latest(thread, "", "c1") == first
        assert await store.latest(thread, "", "c3") is None
        assert await store.latest(thread, "elsewhere") is None
        assert await store.list(thread, None, 10) == [second, first]
        assert await store.list(thread, "", 1) == [second]

    async def test_the_same_id_again_replaces(self, store, thread):
        await store.put(kept(thread))
        await store.put(kept(thread, data=b"new"))
        assert [item.data for item in await store.list(thread, None, 10)] == [b"new"]

    async def test_writes_are_ordered_and_what_is_there_stays(self, store, thread):
        await store.write(thread, "", "c1", [write(1, path="b"), write(0, path="b")])
        await store.write(thread, "", "c1", [write(0, "a", path="b"), write(0, "z", path="a")])
        await store.write(thread, "", "c1", [write(0, path="b", data=b"other")])
        found = await store.writes(thread, "", "c1")
        assert [(item.path, item.task, item.place) for item in found] == [
            ("a", "z", 0),
            ("b", "a", 0),
            ("b", "t", 0),
            ("b", "t", 1),
        ]
        assert {item.data for item in found} == {b"1"}
        assert await store.writes(thread, "", "c2") == []

    async def test_special_writes_are_written_over(self, store, thread):
        for data in (b"1", b"2"):
            await store.write(thread, "", "c1", [write(-1, data=data)])
        assert [item.data for item in await store.writes(thread, "", "c1")] == [b"2"]

    async def test_a_thread_is_forgotten_with_its_writes_and_no_other_is(self, store, thread):
        other = f"{thread}-b"
        for name in (thread, other):
            await store.put(kept(name))
            await store.write(name, "", "c1", [write(0)])
        await store.forget(thread)
        assert await store.list(thread, None, 10) == []
        assert await store.writes(thread, "", "c1") == []
        assert len(await store.list(other, None, 10)) == 1
        assert len(await store.writes(other, "", "c1")) == 1


class SaverContract(CheckpointsContract):
    """The LangGraph checkpointer over a store, as graphs use it."""

    def config(self, thread, **more):
        return {"configurable": {"thread_id": thread, **more}}

    async def test_a_graph_that_failed_goes_on_where_it_stood(self, store, thread):
        config = self.config(thread)
        with pytest.raises(RuntimeError):
            await graph(Saver(store), fails=("two",)).ainvoke(
                {"steps": []}, config, durability="sync"
            )
        anew = graph(Saver(store), fails=("one",))  # the first may not run again
        assert (await anew.aget_state(config)).next == ("two",)
        assert (await anew.ainvoke(None, config))["steps"] == ["one", "two"]

    async def test_the_history_is_listed_from_the_end_by_every_criterion(self, store, thread):
        saver, config = Saver(store), self.config(thread)
        await graph(saver).ainvoke({"steps": []}, config)
        listed = [item async for item in saver.alist(config)]
        ids = [item.config["configurable"]["checkpoint_id"] for item in listed]
        assert ids == sorted(ids, reverse=True)
        assert [item.metadata["step"] for item in listed] == [2, 1, 0, -1]
        for item, parent in zip(listed, ids[1:], strict=False):
            assert item.parent_config["configurable"]["checkpoint_id"] == parent
        assert len([item async for item in saver.alist(config, limit=2)]) == 2
        assert [
            item.metadata["step"] async for item in saver.alist(config, filter={"step": 1})
        ] == [1]
        before = listed[1].config
        assert [item.metadata["step"] async for item in saver.alist(config, before=before)] == [
            0,
            -1,
        ]

    async def test_messages_come_back_as_they_were(self, store, thread):
        saver = Saver(store)
        call = {"name": "calculator", "args": {"expression": "1"}, "id": "c", "type": "tool_call"}
        said = [HumanMessage("Zoë \x00 🎉", id="said-0"), AIMessage("", tool_calls=[call])]
        checkpoint = empty_checkpoint() | {"channel_values": {"messages": said}}
        config = await saver.aput(
            self.config(thread, checkpoint_ns=""), checkpoint, {"step": 1}, {}
        )
        await saver.aput_writes(config, [("messages", said[1])], "t1")
        found = await saver.aget_tuple(self.config(thread))
        assert found.checkpoint["channel_values"]["messages"] == said
        assert found.pending_writes == [("t1", "messages", said[1])]
        assert found.config == config
        assert found.parent_config is None

    async def test_a_thread_nobody_wrote_has_nothing(self, store, thread):
        assert await Saver(store).aget_tuple(self.config(thread)) is None
        assert [item async for item in Saver(store).alist(self.config(thread))] == []


class TestInMemoryCheckpoints(SaverContract):
    @pytest.fixture
    def store(self):
        return InMemoryCheckpoints()


class TestPostgresCheckpoints(SaverContract):
    @pytest.fixture
    async def store(self, database_url):
        async with asyncpg.create_pool(database_url, min_size=0, max_size=4) as pool:
            yield PostgresCheckpoints(pool)

    async def test_what_was_left_lying_is_swept(self, store, thread, database_url):
        other = f"{thread}-b"
        for name in (thread, other):
            await store.put(kept(name))
            await store.write(name, "", "c1", [write(0)])
        for table in ("checkpoints", "checkpoint_writes"):
            await store._pool.execute(
                f"UPDATE {table} SET made_at = now() - interval '3 days' WHERE thread = $1", other
            )
        await store.forget("nobody")
        assert await store.list(other, None, 10) == []
        assert await store.writes(other, "", "c1") == []
        assert len(await store.list(thread, None, 10)) == 1

    async def test_a_database_that_is_away_is_said_in_our_words(self):
        pool = asyncpg.create_pool("postgresql://u@127.0.0.1:1/x", min_size=0, max_size=1)
        async with pool:
            with pytest.raises(ServiceUnavailable, match="checkpoint store"):
                await PostgresCheckpoints(pool).latest("t", "")


class ConversationsContract:
    """Subclass it with a fixture `store`."""

    @pytest.fixture
    def owner(self):
        return Owner(f"tenant-{new_id()}", "ann", "s1")

    async def contents(self, store, owner):
        return [turn.content for turn in (await store.recall(owner)).turns]

    async def test_turns_come_back_in_order_with_numbers_that_grow(self, store, owner):
        await store.add(owner, [Turn("user", "Hi 🎉", "t1"), Turn("assistant", "Hello.", "t1")])
        await store.add(owner, [Turn("user", "Bye", "t2")])
        known = await store.recall(owner)
        assert [(turn.role, turn.content, turn.task) for turn in known.turns] == [
            ("user", "Hi 🎉", "t1"),
            ("assistant", "Hello.", "t1"),
            ("user", "Bye", "t2"),
        ]
        numbers = [turn.number for turn in known.turns]
        assert numbers == sorted(set(numbers))

    async def test_a_task_that_says_it_again_replaces_it_in_its_place(self, store, owner):
        await store.add(owner, [Turn("user", "a", "t1"), Turn("assistant", "b", "t1")])
        await store.add(owner, [Turn("user", "c", "t2")])
        await store.add(owner, [Turn("user", "a", "t1"), Turn("assistant", "B", "t1")])
        assert await self.contents(store, owner) == ["a", "B", "c"]

    async def test_what_is_folded_leaves_its_summary_and_the_rest(self, store, owner):
        await store.add(owner, [Turn("user", text, text) for text in "abc"])
        second = (await store.recall(owner)).turns[1]
        await store.fold(owner, second.number, "a and b", "")
        known = await store.recall(owner)
        assert (known.summary, [turn.content for turn in known.turns]) == ("a and b", ["c"])
        await store.fold(owner, known.turns[0].number, "late", "")  # somebody was quicker
        assert (await store.recall(owner)) == known
        await store.fold(owner, known.turns[0].number, "all", "a and b")
        assert await store.recall(owner) == type(known)("all", ())

    async def test_nobody_else_s_is_seen_replaced_folded_or_forgotten(self, store, owner):
        others = [
            Owner(owner.tenant, "bob", "s1"),
            Owner(f"{owner.tenant}-b", "ann", "s1"),
            Owner(owner.tenant, "ann", "s2"),
        ]
        await store.add(owner, [Turn("user", "mine", "t1")])
        for other in others:
            assert await self.contents(store, other) == []
            await store.add(other, [Turn("user", "theirs", "t1")])
            await store.fold(other, 2**62, "folded", "")
            await store.forget(other)
        known = await store.recall(owner)
        assert (known.summary, [turn.content for turn in known.turns]) == ("", ["mine"])

    async def test_what_is_forgotten_is_gone_with_its_summary(self, store, owner):
        await store.add(owner, [Turn("user", text, text) for text in "abc"])
        await store.fold(owner, (await store.recall(owner)).turns[0].number, "a", "")
        assert await store.forget(owner) == 3
        known = await store.recall(owner)
        assert (known.summary, known.turns) == ("", ())
        assert await store.forget(owner) == 0


class TestInMemoryConversations(ConversationsContract):
    @pytest.fixture
    def store(self):
        return InMemoryConversations()


class TestPostgresConversations(ConversationsContract):
    @pytest.fixture
    async def store(self, database_url):
        async with asyncpg.create_pool(database_url, min_size=0, max_size=4) as pool:
            yield PostgresConversations(pool)

    async def test_what_a_database_cannot_hold_is_replaced(self, store, owner):
        await store.add(owner, [Turn("user", "a\x00b", "t1")])
        assert await self.contents(store, owner) == ["a\ufffdb"]
