"""Holds a conversation with a chat model: metered, bounded, with tools."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelCallLimitMiddleware,
    ToolCallLimitMiddleware,
)
from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError
from langchain.agents.middleware.types import ModelRequest, ModelResponse, ToolCallRequest
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage, convert_to_messages
from langgraph.types import Command

from cartrita.calling import Caller, prompt_tokens
from cartrita.context import Context, ToolRun
from cartrita.cost.price import Price
from cartrita.cost.selection import complexity
from cartrita.errors import AgentFailed, TaskTimeout
from cartrita.providers.ports import ChatModel, ModelInfo
from cartrita.providers.ports_chat import Demand
from cartrita.telemetry import genai

MODEL_CALLS = 10
"""After these a model that still calls tools has lost its way."""

TOOL_CALLS = 16
"""Further ones are answered with an error, so that the model comes to an end."""

ANSWER_TOKENS = 4096
"""The longest single answer, unless a task says less."""

LONGEST_TOLD = 2_000
"""Characters of a tool's answer that readers of the task's events see."""

AGAIN = "Your last answer to this was rejected: {} Answer once more, without that fault."

LONGEST_WAIT = 86_400.0
"""Seconds; a task without a deadline still ends."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Called:
    """One use of a tool."""

    tool: str
    input: dict[str, Any]
    output: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a conversation.

    Attributes:
        refused: Whether the model declined to do what was asked.
        tokens: Prompt and completion tokens of all model calls.
        info: Who answered: not always who was asked.
        thoughts: What it said before it used tools, in order.
    """

    text: str
    refused: bool
    calls: tuple[Called, ...]
    tokens: int
    info: ModelInfo
    thoughts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Thread:
    """Where a conversation is kept while it goes on, so that another attempt takes it up.

    Attributes:
        saver: A LangGraph checkpointer.
        id: Whose conversation it is, in whichever attempt.
    """

    saver: Any
    id: str


@dataclass(frozen=True, slots=True)
class Way:
    """How a conversation is led.

    Attributes:
        model_calls: After so many the model has lost its way.
        tell_tools: Whether those who follow the task are told which tools it uses.
        thread: Where it is kept after each step; what an attempt that died left there is gone
            on with.
    """

    model_calls: int = MODEL_CALLS
    tell_tools: bool = False
    thread: Thread | None = None


async def converse(  # noqa: PLR0913 - each is one thing a task may say
    chat: ChatModel,
    said: Sequence[Said],
    tools: Sequence[Any],
    ctx: Context,
    ceiling: Price,
    *,
    answer_tokens: int = ANSWER_TOKENS,
    stream: bool = False,
    way: Way = Way(),
) -> Reply:
    """Let a model answer, calling tools as it sees fit, until it has an answer.

    Every model call is metered in `ctx` and limited to what is left of `ceiling` and of the
    task's budget. Cancelling closes the provider's connection. Another model may answer, where
    the one that was asked fails or a budget is nearly used up: the reply says which, and a
    warning why.

    Args:
        chat: Who answers.
        said: The conversation so far; the last message is the one to answer.
        tools: LangChain tools; without any the model answers once.
        ctx: The task, for its deadline, budget and metering.
        ceiling: What the task declares as its price.
        answer_tokens: The longest single answer.
        stream: Whether to show the model's words as they come.
        way: How it is led.

    Raises:
        InsufficientBudget: The next model call would not fit.
        TaskTimeout: The deadline passed.
        AgentFailed: The model came to no answer.
    """
    if ctx.complaint:
        said = [*said, Said("user", AGAIN.format(ctx.complaint))]
    texts = [message.content for message in said]
    demand = Demand(ctx.preferences, ctx.pressure, complexity(texts, len(tools)))
    caller = Caller(chat.candidates(demand), ctx, ceiling, answer_tokens, stream=stream)
    before = len(ctx.usages)
    try:
        async with asyncio.timeout(min(ctx.remaining(), LONGEST_WAIT)) as limit:
            since = await _answered(caller, said, tools, ctx, way)
    except TimeoutError:
        if not limit.expired():
            raise
        raise TaskTimeout(
            f"{caller.chat.info.model!r} did not answer before the deadline."
        ) from None
    except ModelCallLimitExceededError:
        raise AgentFailed(
            f"{caller.chat.info.model!r} came to no answer within {way.model_calls} calls."
        ) from None
    used = sum(usage.tokens_in + usage.tokens_out for usage in ctx.usages[before:])
    reply = _reply(since, caller.chat.info, ctx, used)
    if stream and not caller.shown:
        await ctx.token(reply.text)
    return reply


async def _answered(
    caller: Caller, said: Sequence[Said], tools: Sequence[Any], ctx: Context, way: Way
) -> Sequence[AnyMessage]:
    """Return the messages that follow what was said, the answer last.

    An agent's graph takes ten times as long to make as a call without one, so there is none
    before the model wants a tool.
    """
    messages: list[Any] = convert_to_messages(
        [
            {"role": message.role, "content": message.content, "id": f"{_GIVEN}{place}"}
            for place, message in enumerate(said)
        ]
    )
    if way.thread:
        agent = _agent(caller, tools, ctx, way, None)
        return _since(await _taken_up(agent, way.thread, messages))
    first = await caller.call(prompt_tokens(messages, tools), partial(_ask, messages, tools))
    if not any(isinstance(item, AIMessage) and item.tool_calls for item in first.result):
        answered: Sequence[Any] = first.result
        return answered
    state = await _agent(caller, tools, ctx, way, first).ainvoke({"messages": messages})
    return _since(state)


_GIVEN = "given-"
"""How the ids of the messages begin that the conversation began with."""


def _agent(
    caller: Caller,
    tools: Sequence[Any],
    ctx: Context,
    way: Way,
    first: ModelResponse[Any] | None,
) -> Any:
    middleware: list[Any] = [  # each has a state of its own, which no common type allows
        ModelCallLimitMiddleware(run_limit=way.model_calls, exit_behavior="error"),
        ToolCallLimitMiddleware(run_limit=TOOL_CALLS),
        _Meter(caller, ctx, first, way),
    ]
    saver = way.thread.saver if way.thread else None
    return create_agent(
        caller.chat.model, tools=list(tools), middleware=middleware, checkpointer=saver
    )


def _since(state: Any) -> Sequence[AnyMessage]:
    """Return what was said since the beginning."""
    return [item for item in state["messages"] if not (item.id or "").startswith(_GIVEN)]


async def _taken_up(agent: Any, thread: Thread, messages: list[Any]) -> Any:
    """Begin a conversation, or go on where an attempt that died left it."""
    config = {"configurable": {"thread_id": thread.id}}
    known = await agent.aget_state(config)
    if not known.values:
        return await agent.ainvoke({"messages": messages}, config, durability="sync")
    return await agent.ainvoke(None, config, durability="sync") if known.next else known.values


async def _ask(
    messages: list[Any], tools: Sequence[Any], model: Any, settings: dict[str, Any]
) -> ModelResponse[Any]:
    """Call a model as an agent does."""
    bound = model.bind_tools(list(tools), **settings) if tools else model.bind(**settings)
    return ModelResponse(result=[await bound.ainvoke(messages)])


def _reply(since: Sequence[AnyMessage], info: ModelInfo, ctx: Context, tokens: int) -> Reply:
    answer = since[-1]
    refusal = answer.additional_kwargs.get("refusal")
    text = str(answer.text) or str(refusal or "")
    if not text.strip():
        raise AgentFailed(f"{info.model!r} gave an empty answer; ask again, or otherwise.")
    if answer.response_metadata.get("finish_reason") == "length":
        ctx.warn("The answer was cut off at its token limit.")
    acting = [item for item in since if isinstance(item, AIMessage) and item.tool_calls]
    thoughts = tuple(str(item.text) for item in acting if str(item.text).strip())
    return Reply(text, bool(refusal), _calls(since), tokens, info, thoughts)


def _calls(since: Sequence[AnyMessage]) -> tuple[Called, ...]:
    results = {item.tool_call_id: item for item in since if isinstance(item, ToolMessage)}
    asked = [call for item in since if isinstance(item, AIMessage) for call in item.tool_calls]
    return tuple(
        Called(call["name"], call["args"], str(result.text), result.status == "error")
        for call in asked
        if (result := results.get(call["id"] or ""))
    )


class _Meter(AgentMiddleware[Any, Any, Any]):
    """Has every model call made by the caller, and notes what tools ran.

    Args:
        caller: Makes and meters them.
        first: What the first call has answered already.
    """

    def __init__(
        self, caller: Caller, ctx: Context, first: ModelResponse[Any] | None, way: Way
    ) -> None:
        super().__init__()
        self._caller, self._ctx, self._first, self._way = caller, ctx, first, way

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Call the model with a limit on its answer."""
        if self._first is not None:
            first, self._first = self._first, None
            return first

        async def run(model: Any, settings: dict[str, Any]) -> ModelResponse[Any]:
            chosen = {**request.model_settings, **settings}
            return await handler(request.override(model=model, model_settings=chosen))

        system = [request.system_message] if request.system_message else []
        prompt = prompt_tokens([*system, *request.messages], request.tools)
        return await self._caller.call(prompt, run)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Run a tool."""
        began, output, failed = self._ctx.clock.monotonic(), "", True
        try:
            answer = await handler(request)
            if isinstance(answer, ToolMessage):
                output, failed = str(answer.text), answer.status == "error"
        finally:
            took = self._ctx.clock.monotonic() - began
            call = request.tool_call
            genai.ran(call["name"], took, failed=failed)
            self._ctx.note(ToolRun(call["name"], call["args"], output, took, failed))
        if self._way.tell_tools:
            await self._ctx.tool(call["name"], call["args"], output[:LONGEST_TOLD])
        return answer
