"""Tests of cartrita/tools/declare.py and cartrita/tools/registry.py."""

import pytest

from cartrita.context import Context
from cartrita.errors import (
    InsufficientBudget,
    InvalidParameters,
    NetworkFailed,
    TaskTimeout,
)
from cartrita.tools.declare import Input, Tools, tool
from cartrita.tools.registry import LONGEST_ANSWER, ToolRegistry, discover, open_toolbox
from tests.support.tools import by_name, use


class Word(Input):
    word: str


class Parrot(Tools):
    """Says things."""

    @tool("repeat")
    async def repeat(self, given: Word, ctx: Context) -> str:
        """Say a word again."""
        return f"{given.word} for {ctx.principal.tenant}"

    @tool("shout", agents=("chat",))
    async def shout(self, given: Word, ctx: Context) -> dict[str, str]:
        """Say a word loudly."""
        return {"loud": given.word.upper()}

    @tool("fail", agents=("chat",))
    async def fail(self, given: Word, ctx: Context) -> str:
        """End as it is told."""
        raise {
            "network": NetworkFailed("no line"),
            "value": ValueError("no such word"),
            "budget": InsufficientBudget("no money"),
            "time": TaskTimeout("no time"),
        }[given.word]


def tools(agent="chat", names=None):
    return by_name(ToolRegistry([Parrot()]).tools(Context("t"), agent, names))


def test_an_agent_is_offered_only_what_is_granted_to_it():
    assert list(tools("chat")) == ["fail", "repeat", "shout"]
    assert list(tools("writer")) == ["repeat"]


def test_a_choice_narrows_the_grant_and_never_widens_it():
    assert list(tools("chat", ["shout"])) == ["shout"]
    assert tools("chat", []) == {}
    with pytest.raises(InvalidParameters, match="no tool 'shout'; it has repeat") as caught:
        tools("writer", ["shout"])
    assert caught.value.fields[0].field == "parameters.tools"


def test_the_docstring_is_what_the_model_reads_and_the_input_what_it_must_give():
    offered = tools()["repeat"]
    assert offered.description == "Say a word again."
    schema = offered.tool_call_schema.model_json_schema()
    assert (schema["required"], schema["additionalProperties"]) == (["word"], False)


@pytest.mark.parametrize("given", [{}, {"word": 3}, {"word": "a", "wrod": "b"}])
async def test_input_that_does_not_fit_is_told_to_the_model_by_field(given):
    answer = await use(tools()["repeat"], **given)
    assert answer.status == "error"
    assert answer.content.startswith(("word: ", "wrod: "))


async def test_a_tool_knows_its_caller():
    answer = await use(tools()["repeat"], word="hello")
    assert answer.content == "hello for system"


async def test_plain_values_are_answered_as_json():
    assert (await use(tools()["shout"], word="hi")).content == '{"loud": "HI"}'


async def test_a_long_answer_is_cut_and_says_so():
    answer = await use(tools()["repeat"], word="x" * (LONGEST_ANSWER + 9))
    assert len(answer.content) < LONGEST_ANSWER + 40
    assert answer.content.endswith("more characters]")


@pytest.mark.parametrize(("word", "text"), [("network", "no line"), ("value", "no such word")])
async def test_what_goes_wrong_outside_is_told_to_the_model(word, text):
    answer = await use(tools()["fail"], word=word)
    assert (answer.status, answer.content) == ("error", text)


@pytest.mark.parametrize(("word", "kind"), [("budget", InsufficientBudget), ("time", TaskTimeout)])
async def test_the_end_of_money_and_time_is_nothing_to_talk_about(word, kind):
    with pytest.raises(kind):
        await use(tools()["fail"], word=word)


def test_two_sets_cannot_claim_one_name():
    with pytest.raises(TypeError, match="'repeat'"):
        ToolRegistry([Parrot(), Parrot()])


def test_a_declaration_without_what_it_needs_is_an_error():
    with pytest.raises(TypeError, match="given: <Input>"):

        class Untyped(Tools):
            @tool("untyped")
            async def untyped(self, given, ctx):
                """Do something."""

    with pytest.raises(TypeError, match="docstring"):

        class Silent(Tools):
            @tool("silent")
            async def silent(self, given: Word, ctx: Context) -> str:
                return ""

    with pytest.raises(TypeError, match="declares no tool"):

        class Empty(Tools):
            pass


async def test_every_set_is_found_and_made_with_the_ports_it_names():
    asked = []

    async def get(port):
        asked.append(port.__name__)

    box = await open_toolbox(get)
    assert {"FigureTools", "KnowledgeTools"} <= {kind.__name__ for kind in discover()}
    assert {"Embedder", "Memories", "Catalog", "SqlEngine"} <= set(asked)
    assert {"calculator", "knowledge_query"} <= {spec.name for spec in box.specs("chat")}


def test_every_tool_says_what_it_is_for_and_describes_its_input():
    for kind in discover():
        for spec in kind.specs:
            assert spec.description.split("\n")[0].endswith("."), spec.name
            assert spec.input.__doc__, spec.name
