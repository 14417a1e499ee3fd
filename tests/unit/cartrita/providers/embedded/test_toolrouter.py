"""Tests of cartrita/providers/embedded/toolrouter.py."""

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from cartrita.context import Context
from cartrita.errors import ModelRequired
from cartrita.providers.embedded.toolrouter import INFO, ToolRouter
from tests.support.fakes import WordEmbedder
from tests.support.tools import toolbox

QUESTION = "What is 15% of 240 and then what is 2+2?"


@pytest.fixture
def tools():
    return toolbox().tools(Context("t"), "chat")


@pytest.fixture
def model(tools):
    return ToolRouter().bind_tools(tools)


def answers(message, *texts, status="success"):
    return [
        ToolMessage(content=text, tool_call_id=call["id"], name=call["name"], status=status)
        for call, text in zip(message.tool_calls, texts, strict=True)
    ]


async def test_it_calls_the_tools_and_then_quotes_their_results(model):
    asked = [SystemMessage("Be brief."), HumanMessage(QUESTION)]
    first = await model.ainvoke(asked)
    assert [(call["name"], call["args"]) for call in first.tool_calls] == [
        ("calculator", {"expression": "15/100*240"}),
        ("calculator", {"expression": "2+2"}),
    ]
    assert first.text == ""
    last = await model.ainvoke([*asked, first, *answers(first, "36", "4")])
    assert last.tool_calls == []
    assert last.text == "1. 36 (calculator: 15/100*240)\n2. 4 (calculator: 2+2)"


async def test_everything_follows_from_the_messages(tools):
    asked = [HumanMessage(QUESTION)]
    first, again = [await ToolRouter().bind_tools(tools).ainvoke(asked) for _ in range(2)]
    assert first.tool_calls == again.tool_calls
    replayed = ToolRouter().bind_tools(tools)
    assert (await replayed.ainvoke([*asked, first, *answers(first, "36", "4")])).text[:5] == "1. 36"


async def test_only_the_last_human_message_counts(model):
    before = [HumanMessage("write a poem"), AIMessage("No."), HumanMessage("1+1")]
    first = await model.ainvoke(before)
    assert first.tool_calls[0]["args"] == {"expression": "1+1"}
    assert first.tool_calls[0]["id"] == "call_2_0"


async def test_a_tool_that_failed_is_reported(model):
    asked = [HumanMessage("1/0")]
    first = await model.ainvoke(asked)
    last = await model.ainvoke([*asked, first, *answers(first, "division by zero", status="error")])
    assert last.text.startswith("Not done: division by zero.")


async def test_a_refusal_is_marked_as_one(model):
    message = await model.ainvoke("write a poem about rain")
    assert message.text.startswith("This request needs a language model")
    assert "OPENAI_API_KEY" in message.additional_kwargs["refusal"]
    assert message.usage_metadata["output_tokens"] > 0
    assert message.response_metadata["finish_reason"] == "stop"


async def test_without_tools_it_still_answers():
    message = await ToolRouter().ainvoke("2+2")
    assert message.additional_kwargs["refusal"]
    assert (await ToolRouter().ainvoke([SystemMessage("x")])).text.startswith("Hello.")


async def test_a_streamed_answer_joins_to_the_same_words_with_usage_at_the_end(model):
    whole = await model.ainvoke("hello")
    pieces = [piece async for piece in model.astream("hello")]
    assert len(pieces) > 5
    assert "".join(piece.text for piece in pieces) == whole.text
    assert pieces[-1].usage_metadata == whole.usage_metadata
    assert pieces[-1].chunk_position == "last"


def test_streamed_tool_calls_join_to_the_calls(model):
    joined = None
    for piece in model.stream(QUESTION):
        joined = piece if joined is None else joined + piece
    called = [(call["name"], call["args"], call["id"]) for call in joined.tool_calls]
    expected = model.invoke(QUESTION).tool_calls
    assert called == [(call["name"], call["args"], call["id"]) for call in expected]
    assert joined.response_metadata["finish_reason"] == "tool_calls"


async def test_it_drives_a_real_agent(tools):
    agent = create_agent(ToolRouter(), tools=tools)
    state = await agent.ainvoke({"messages": [("user", "2+2, then times 3; tell me a joke")]})
    kinds = [message.type for message in state["messages"]]
    assert kinds == ["human", "ai", "tool", "tool", "ai"]
    text = state["messages"][-1].text
    assert "1. 4 (calculator: 2+2)" in text
    assert "2. 12 (calculator: (2+2)*3)" in text
    assert "3. Not done: 'tell me a joke'" in text


async def test_an_embedder_settles_what_no_rule_reads(tools):
    model = ToolRouter(WordEmbedder()).bind_tools(tools)
    message = await model.ainvoke("which time is it anyway, what is the date of it")
    assert [call["name"] for call in message.tool_calls] == ["getCurrentDateTime"]


async def test_missing_weights_leave_the_rules(tools):
    class Missing:
        async def embed(self, texts):
            raise ModelRequired("no weights here")

    model = ToolRouter(Missing()).bind_tools(tools)
    assert (await model.ainvoke("what about rain")).additional_kwargs["refusal"]
    assert (await model.ainvoke("2+2")).tool_calls


def test_it_does_not_pass_for_a_language_model():
    assert not INFO.generative
    assert INFO.model == "local/tool-router-1"
    assert INFO.limitations
