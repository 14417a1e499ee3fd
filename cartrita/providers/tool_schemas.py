"""What models are told of tools, computed once: LangChain makes a class for each tool each time."""

from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

MOST = 512
"""Tools that are remembered; those with a class of their own for each task push others out."""

_known: dict[tuple[str, str, type], dict[str, Any]] = {}


def schema_of(tool: Any) -> dict[str, Any]:
    """Return a tool in OpenAI's form, which all of LangChain's models take. Do not change it."""
    if not (isinstance(tool, BaseTool) and isinstance(tool.args_schema, type)):
        return convert_to_openai_tool(tool)
    key = (tool.name, tool.description, tool.args_schema)
    found = _known.get(key)
    if found is None:
        while len(_known) >= MOST:
            _known.pop(next(iter(_known)))
        found = _known[key] = convert_to_openai_tool(tool)
    return found
