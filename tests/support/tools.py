"""Toolboxes for tests."""

from cartrita.providers.ports import Rows
from cartrita.tools.clock import ClockTools
from cartrita.tools.figures import FigureTools
from cartrita.tools.registry import ToolRegistry


class NoEngine:
    """A SQL engine that was asked and has one row to show."""

    def __init__(self):
        self.asked = []

    async def query(self, sql, tables, *, max_rows, timeout):
        self.asked.append((sql, tables))
        return Rows(("n",), ((1,),), truncated=False)


def toolbox(*more):
    """Return a toolbox with those tools that need nothing, and more sets."""
    return ToolRegistry([FigureTools(NoEngine()), ClockTools(), *more])


def by_name(tools):
    return {tool.name: tool for tool in tools}


async def use(tool, **args):
    """Use a LangChain tool as a model does."""
    call = {"name": tool.name, "args": args, "id": "c", "type": "tool_call"}
    return await tool.ainvoke(call)
