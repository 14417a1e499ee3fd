"""Tells of the system itself."""

from typing import Any, get_type_hints

from cartrita.catalog import Catalog
from cartrita.context import Context
from cartrita.declare import AgentSpec
from cartrita.providers.ports import Probes, Toolbox
from cartrita.tools.declare import Input, Tools, tool
from cartrita.tools.registry import discover


class StatusInput(Input):
    """Nothing: everything is looked at."""


class RolesInput(Input):
    """How much to tell."""

    include_tools: bool = False


class SystemTools(Tools):
    """The agents, and what they depend on."""

    def __init__(self, probes: Probes, catalog: Catalog) -> None:
        self._probes, self._catalog = probes, catalog

    @tool("getSystemStatus", agents=("langchain",))
    async def status(self, given: StatusInput, ctx: Context) -> dict[str, Any]:
        """Use each thing the system depends on once and tell which of them work."""
        reports = await self._probes.check()
        return {
            "working": all(report.ok for report in reports if report.required),
            "parts": [
                {"name": report.name, "ok": report.ok, "detail": report.detail}
                for report in reports
            ],
        }

    @tool("agent_role_call", agents=("langchain",))
    async def roles(self, given: RolesInput, ctx: Context) -> list[dict[str, Any]]:
        """List the agents there are, what each does, and the tasks it takes."""
        return [
            {
                "agent": agent.name,
                "team": agent.team,
                "does": agent.summary,
                "tasks": [task.name for task in agent.tasks if not task.hidden],
                **({"tools": _tools(agent)} if given.include_tools else {}),
            }
            for agent in self._catalog.offered
        ]


def _tools(agent: AgentSpec) -> list[str]:
    """Return the tools of an agent; one that has no toolbox uses none."""
    made = agent.cls.__init__
    if made is object.__init__ or Toolbox not in get_type_hints(made).values():
        return []
    specs = (spec for kind in discover() for spec in kind.specs)
    return sorted(spec.name for spec in specs if spec.granted(agent.name))
