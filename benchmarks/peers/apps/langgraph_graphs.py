"""The two tasks as graphs of one node."""

import asyncio
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    """What a task is given, and what it gives back."""

    payload: dict[str, Any]


async def echo(state: State) -> State:
    """Give back what came."""
    return {"payload": state["payload"]}


async def pause(state: State) -> State:
    """Give it back after 20 ms."""
    await asyncio.sleep(0.020)
    return {"payload": state["payload"]}


noop = (
    StateGraph(State).add_node("work", echo).add_edge(START, "work").add_edge("work", END).compile()
)
wait = (
    StateGraph(State)
    .add_node("work", pause)
    .add_edge(START, "work")
    .add_edge("work", END)
    .compile()
)
