"""A model behind a masker: what it is told, what it says, what tools are given."""

from decimal import Decimal

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool
from pydantic import Field

from cartrita.context import Context
from cartrita.conversation import Said, converse
from cartrita.cost.price import metered
from cartrita.discretion import discreet
from cartrita.errors import InvalidParameters
from cartrita.privacy.masking import Masker, Rules
from cartrita.providers.ports import ChatModel, ModelInfo
from tests.support.scripted_model import INFO, ScriptedModel, called, said

CEILING = metered("1.00", 10_000)


def sent(model):
    """Return everything that left for a model, as text."""
    return "\n".join(
        f"{message.text} {getattr(message, 'tool_calls', '')}"
        for messages, _ in model.asked
        for message in messages
    )


async def talk(model, message, tools=(), info=INFO, **context):
    ctx = Context("t", **context)
    chat = ChatModel(model, info, Decimal("0.01"), Decimal("0.02"))
    said_before = [Said("system", "Be brief. Write to help@cartrita.org."), Said("user", message)]
    return await converse(chat, said_before, list(tools), ctx, CEILING)


async def test_a_model_sees_placeholders_and_the_caller_the_true_values():
    model = ScriptedModel(said("I wrote to <EMAIL_2>."))
    reply = await talk(model, "Write to ada@x.org, please")
    assert reply.text == "I wrote to ada@x.org."
    assert sent(model).count("<EMAIL_") == 2
    assert "@" not in sent(model)


async def test_tools_are_given_true_values_and_what_they_answer_is_masked():
    given = []

    @tool
    async def lookup(who: str) -> str:
        """Look somebody up."""
        given.append(who)
        return f"{who} has the number +1 415 555 2671."

    model = ScriptedModel(called("lookup", who="<EMAIL_2>"), said("It is <PHONE_1>."))
    reply = await talk(model, "What is the number of ada@x.org?", [lookup])
    assert given == ["ada@x.org"]
    assert reply.text == "It is +1 415 555 2671."
    assert reply.calls[0].output == "ada@x.org has the number +1 415 555 2671."
    assert "@" not in sent(model)
    assert "415" not in sent(model)


async def test_what_is_not_taken_back_stays_masked_for_the_caller():
    model = ScriptedModel(said("I wrote to <EMAIL_2>."))
    reply = await talk(model, "Write to ada@x.org", privacy=Masker(Rules(unmask=False)))
    assert reply.text == "I wrote to <EMAIL_2>."


async def test_where_it_is_blocked_nothing_leaves():
    model = ScriptedModel(said("Hello."))
    with pytest.raises(InvalidParameters, match="EMAIL"):
        await talk(model, "Write to ada@x.org", privacy=Masker(Rules("block")))
    assert model.asked == []


@pytest.mark.parametrize("rules", [Rules("off"), Rules()])
async def test_nothing_is_masked_where_nothing_leaves_or_nobody_minds(rules):
    here = ModelInfo("local/x", "embedded" if rules.mode == "mask" else "fake", generative=True)
    model = ScriptedModel(said("Done."))
    await talk(model, "Write to ada@x.org", info=here, privacy=Masker(rules))
    assert "ada@x.org" in sent(model)


class Streamed(ScriptedModel):
    """Streams an answer, and what it gives to a tool, in given pieces."""

    texts: list[str] = Field(default_factory=list)
    args: list[str] = Field(default_factory=list)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        self._asked.append((messages, kwargs))
        for piece in self.texts:
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        for piece in self.args:
            call = {"name": None, "args": piece, "id": None, "index": 0, "type": "tool_call_chunk"}
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[call]))


async def stream(texts, args=(), message="Write to ada@x.org, I am at 8.8.8.8"):
    inner = Streamed(said("unused"))
    inner.texts, inner.args = texts, list(args)
    model = discreet(ChatModel(inner, INFO), Context("t"))
    chunks = [chunk async for chunk in model.astream([HumanMessage(message)])]
    assert "@" not in sent(inner)
    return chunks


async def test_a_placeholder_spread_over_pieces_is_put_together():
    chunks = await stream(["To <EM", "AIL", "_1", "> at <IP_1>. 1 <", " 2, <IP_"])
    texts = [str(chunk.text) for chunk in chunks]
    assert "".join(texts) == "To ada@x.org at 8.8.8.8. 1 < 2, <IP_"
    assert texts[0] == "To "


async def test_what_a_tool_is_given_in_pieces_has_true_values_that_fit_json():
    key = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"
    pieces = ['{"to": "<EMA', 'IL_1>", "key": "<KEY_', '1>"}']
    chunks = await stream([], pieces, message=f"Send {key} to ada@x.org")
    whole = sum(chunks[1:], chunks[0])
    (call,) = whole.tool_calls
    assert call["args"] == {"to": "ada@x.org", "key": key}


async def test_blocks_of_text_are_masked_as_plain_text_is():
    inner = ScriptedModel(AIMessage(content=[{"type": "text", "text": "Dear <EMAIL_1>"}]))
    model = discreet(ChatModel(inner, INFO), Context("t"))
    blocks = [{"type": "text", "text": "I am ada@x.org"}, {"type": "image_url", "image_url": "x"}]
    answer = await model.ainvoke([HumanMessage(content=blocks)])
    assert str(answer.text) == "Dear ada@x.org"
    assert inner.asked[0][0][0].content[0]["text"] == "I am <EMAIL_1>"
    assert blocks[0]["text"] == "I am ada@x.org"


async def test_a_long_message_is_masked_as_a_short_one_is():
    model = ScriptedModel(said("Dear <EMAIL_2>"))
    reply = await talk(model, f"{'All about it. ' * 1_000} I am ada@x.org.")
    assert reply.text == "Dear ada@x.org"
    assert "@" not in sent(model)


class Heard(AsyncCallbackHandler):
    """Keeps what it is told of models."""

    def __init__(self):
        self.models = []

    async def on_chat_model_start(self, serialized, messages, **kwargs):
        self.models.append(serialized)


async def test_callbacks_are_told_of_the_inner_model_which_is_described_once():
    inner, heard = ScriptedModel(said("One."), said("Two.")), Heard()
    for task in "ab":
        model = discreet(ChatModel(inner, INFO), Context(task))
        await model.ainvoke([HumanMessage("ada@x.org")], {"callbacks": [heard]})
    first, second = heard.models
    assert first is second
    assert first["name"] == "ScriptedModel"
