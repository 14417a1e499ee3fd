"""Tests of cartrita/providers/tool_schemas.py."""

from langchain_core.tools import StructuredTool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from cartrita.providers import tool_schemas
from cartrita.providers.tool_schemas import schema_of


class Given(BaseModel):
    """What it takes."""

    number: int


def made(name="double", description="Double a number.", schema=Given):
    async def work(**fields):
        return fields

    return StructuredTool.from_function(
        coroutine=work, name=name, description=description, args_schema=schema
    )


def test_it_is_what_langchain_says_and_computed_once_for_tools_that_are_alike():
    assert schema_of(made()) == convert_to_openai_tool(made())
    assert schema_of(made()) is schema_of(made())


def test_tools_that_differ_in_name_words_or_input_are_told_apart():
    class Other(BaseModel):
        text: str

    tools = [made(), made("halve"), made(description="Twice."), made(schema=Other)]
    assert len({str(schema_of(one)) for one in tools}) == 4


def test_what_is_no_tool_of_langchain_s_goes_through_too():
    @tool
    def plain(text: str) -> str:
        """Say it."""
        return text

    schema = schema_of(plain)
    assert schema_of(schema) == schema


def test_only_so_many_are_remembered(monkeypatch):
    monkeypatch.setattr(tool_schemas, "MOST", 3)
    for number in range(10):
        schema_of(made(f"tool{number}"))
    assert len(tool_schemas._known) <= 3
