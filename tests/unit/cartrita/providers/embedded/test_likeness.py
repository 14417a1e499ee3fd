"""Tests of cartrita/providers/embedded/likeness.py."""

import numpy as np
import pytest

from cartrita.providers.embedded.intent import Open, Tool, Unmet, Use
from cartrita.providers.embedded.likeness import Likeness


def text_tool(name, argument, description=""):
    schema = {"properties": {argument: {"type": "string"}}, "required": [argument]}
    return Tool(name, description, schema)


ORDERS = text_tool("find_order", "order", "orders")
PARCELS = text_tool("find_parcel", "parcel", "parcels")
MEMORY = text_tool("knowledge_query", "query")


class Directions:
    """Embeds a text in the direction a test gives it; all other texts in one of their own."""

    info = None
    dimensions = 8

    def __init__(self, **known):
        self.known = known
        self.asked = []

    async def embed(self, texts):
        self.asked += texts
        rows = [self.known.get(text.replace(" ", "_"), [0] * 7 + [1]) for text in texts]
        vectors = np.array([row + [0] * (8 - len(row)) for row in rows], dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def tools(*offered):
    return {tool.name: tool for tool in offered}


async def test_the_tool_that_comes_clearly_nearest_is_used():
    likeness = Likeness(Directions(orders=[1, 0], parcels=[0, 1], where_is_it=[1, 0.3]))
    step = await likeness.settled(Open("where is it"), tools(ORDERS, PARCELS))
    assert step == Use("where is it", "find_order", {"order": "where is it"})


async def test_between_two_that_are_as_near_it_asks():
    likeness = Likeness(Directions(orders=[1, 0], parcels=[0, 1], where_is_it=[1, 0.95]))
    step = await likeness.settled(Open("where is it"), tools(ORDERS, PARCELS))
    assert isinstance(step, Unmet)
    assert "did you mean `find_order` or `find_parcel`?" in step.why


async def test_nothing_near_enough_stays_open():
    likeness = Likeness(Directions(orders=[1, 0, 0], where_is_it=[0.4, 0, 1]))
    step = Open("where is it")
    assert await likeness.settled(step, tools(ORDERS)) is step


async def test_what_is_nearest_to_writing_is_a_language_model_s_work():
    likeness = Likeness(Directions(write_a_poem=[0, 0, 1], some_verses=[0, 0, 1], orders=[1]))
    step = await likeness.settled(Open("some verses"), tools(ORDERS))
    assert isinstance(step, Unmet)
    assert step.needs_model


async def test_a_wish_for_text_is_not_routed_however_near():
    likeness = Likeness(Directions(orders=[1], write_orders=[1]))
    step = await likeness.settled(Open("write orders"), tools(ORDERS))
    assert isinstance(step, Unmet)
    assert step.needs_model


async def test_the_memory_is_searched_for_the_whole_question():
    likeness = Likeness(Directions(search_my_notes=[1], look_it_up=[1]))
    step = await likeness.settled(Open("look it up"), tools(MEMORY))
    assert step == Use("look it up", "knowledge_query", {"query": "look it up"})


@pytest.mark.parametrize("name", ["calculator", "summarize", "sentiment"])
async def test_a_built_in_tool_without_its_argument_asks_for_it(name):
    example = {"calculator": "calculate a sum", "summarize": "make this text shorter"}
    near = example.get(name, "is this text positive or negative").replace(" ", "_")
    likeness = Likeness(Directions(**{near: [1], "the_thing": [1]}))
    step = await likeness.settled(Open("the thing"), tools(text_tool(name, "x")))
    assert isinstance(step, Unmet)
    assert "needs `x`" in step.why


async def test_without_tools_only_a_language_model_is_left():
    step = Open("hm")
    assert await Likeness(Directions(hm=[1])).settled(step, {}) is step


async def test_vectors_of_tools_are_made_once():
    embedder = Directions(orders=[1, 0], where_is_it=[1, 0])
    likeness = Likeness(embedder)
    for _ in range(2):
        await likeness.settled(Open("where is it"), tools(ORDERS))
    assert embedder.asked.count("orders") == 1


async def test_a_long_text_is_not_compared_with_commands():
    embedder = Directions()
    step = Open("word " * 200)
    assert await Likeness(embedder).settled(step, tools(ORDERS)) is step
    assert embedder.asked == []
