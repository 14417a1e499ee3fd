"""Holds a conversation with a chat model: metered, bounded, with tools."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelCallLimitMiddleware,
    ToolCallLimitMiddleware,
)
from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError
from langchain.agents.middleware.types import ModelRequest, ModelResponse, ToolCallRequest
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.types import Command

from cartrita.context import Context, ToolRun, Usage
from cartrita.cost.allowance import Allowance
from cartrita.cost.price import Price
from cartrita.errors import AgentFailed, TaskTimeout
from cartrita.providers.ports import ChatModel

MODEL_CALLS = 10
"""After these a model that still calls tools has lost its way."""

TOOL_CALLS = 16
"""Further ones are answered with an error, so that the model comes to an end."""

ANSWER_TOKENS = 4096
"""The longest single answer, unless a task says less."""

BYTES_PER_TOKEN = 3
"""Errs on the long side for English (4 to 5), where a reservation depends on it."""

MESSAGE_TOKENS = 8
"""What a message costs besides its text."""

LONGEST_TOLD = 2_000
"""Characters of a tool's answer that readers of the task's events see."""

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
        thoughts: What it said before it used tools, in order.
    """

    text: str
    refused: bool
    calls: tuple[Called, ...]
    tokens: int
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


async def converse(  # noqa: PLR0913 - each is one thing a caller may say
    chat: ChatModel,
    said: Sequence[Said],
    tools: Sequence[Any],
    ctx: Context,
    ceiling: Price,
    *,
    answer_tokens: int = ANSWER_TOKENS,
    model_calls: int = MODEL_CALLS,
    thread: Thread | None = None,
    tell_tools: bool = False,
) -> Reply:
    """Let a model answer, calling tools as it sees fit, until it has an answer.

    Every model call is metered in `ctx` and limited to what is left of `ceiling` and of the
    task's budget. Cancelling closes the provider's connection.

    Args:
        chat: Who answers.
        said: The conversation so far; the last message is the one to answer.
        tools: LangChain tools; without any the model answers once.
        ctx: The task, for its deadline, budget and metering.
        ceiling: What the task declares as its price.
        answer_tokens: The longest single answer.
        model_calls: After so many the model has lost its way.
        thread: Where it is kept after each step. What an attempt that died left there is gone
            on with, and paid for.
        tell_tools: Tell those who follow the task which tools were used.

    Raises:
        InsufficientBudget: The next model call would not fit.
        TaskTimeout: The deadline passed.
        AgentFailed: The model came to no answer.
    """
    middleware: list[Any] = [  # each has a state of its own, which no common type allows
        ModelCallLimitMiddleware(run_limit=model_calls, exit_behavior="error"),
        ToolCallLimitMiddleware(run_limit=TOOL_CALLS),
        _Meter(chat, ctx, ceiling, answer_tokens, tell_tools=tell_tools),
    ]
    saver = thread.saver if thread else None
    agent: Any = create_agent(
        chat.model, tools=list(tools), middleware=middleware, checkpointer=saver
    )
    before = len(ctx.usages)
    try:
        async with asyncio.timeout(min(ctx.remaining(), LONGEST_WAIT)) as limit:
            if thread:
                state = await _taken_up(agent, thread, said, chat, ctx)
            else:
                state = await agent.ainvoke(_opening(said))
    except TimeoutError:
        if not limit.expired():
            raise
        raise TaskTimeout(f"{chat.info.model!r} did not answer before the deadline.") from None
    except ModelCallLimitExceededError:
        raise AgentFailed(
            f"{chat.info.model!r} came to no answer within {model_calls} calls."
        ) from None
    used = sum(usage.tokens_in + usage.tokens_out for usage in ctx.usages[before:])
    return _reply(_since(state["messages"]), chat, ctx, used)


_SAID = "said-"
"""How the ids of the messages begin that the caller gave."""


def _opening(said: Sequence[Said]) -> dict[str, Any]:
    return {
        "messages": [
            {"role": message.role, "content": message.content, "id": f"{_SAID}{place}"}
            for place, message in enumerate(said)
        ]
    }


def _since(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """Return what was said since the caller's messages."""
    return [message for message in messages if not (message.id or "").startswith(_SAID)]


async def _taken_up(
    agent: Any, thread: Thread, said: Sequence[Said], chat: ChatModel, ctx: Context
) -> Any:
    """Begin a conversation, or go on where an attempt that died left it."""
    config = {"configurable": {"thread_id": thread.id}}
    known = await agent.aget_state(config)
    spent = _since(known.values.get("messages", ()))
    for message in spent:
        if isinstance(message, AIMessage):
            ctx.usages.append(_usage(message, chat, 0))  # its story tells of it already
    if known.values and not known.next:
        return known.values
    return await agent.ainvoke(None if known.values else _opening(said), config, durability="sync")


def _reply(since: Sequence[AnyMessage], chat: ChatModel, ctx: Context, tokens: int) -> Reply:
    answer = since[-1]
    refusal = answer.additional_kwargs.get("refusal")
    text = str(answer.text) or str(refusal or "")
    if not text.strip():
        raise AgentFailed(f"{chat.info.model!r} gave an empty answer; ask again, or otherwise.")
    if answer.response_metadata.get("finish_reason") == "length":
        ctx.warn("The answer was cut off at its token limit.")
    asked = [item for item in since if isinstance(item, AIMessage) and item.tool_calls]
    thoughts = tuple(str(item.text) for item in asked if str(item.text).strip())
    return Reply(text, bool(refusal), _calls(since), tokens, thoughts)


def _calls(since: Sequence[AnyMessage]) -> tuple[Called, ...]:
    results = {item.tool_call_id: item for item in since if isinstance(item, ToolMessage)}
    asked = [call for item in since if isinstance(item, AIMessage) for call in item.tool_calls]
    return tuple(
        Called(call["name"], call["args"], str(result.text), result.status == "error")
        for call in asked
        if (result := results.get(call["id"] or ""))
    )


class _Meter(AgentMiddleware[Any, Any, Any]):
    """Meters every model call, and keeps each within what may still be spent.

    Notes for the task's story how long it took, and what tools ran.
    """

    def __init__(
        self, chat: ChatModel, ctx: Context, ceiling: Price, longest: int, *, tell_tools: bool
    ) -> None:
        super().__init__()
        self._tell_tools = tell_tools
        self._chat, self._ctx, self._ceiling, self._longest = chat, ctx, ceiling, longest

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Call the model with a limit on its answer."""
        prompt = _prompt_tokens(request)
        if self._chat.info.generative:
            limit = {"max_tokens": min(self._longest, self._answer_tokens(prompt))}
            request = request.override(model_settings={**request.model_settings, **limit})
        began = self._ctx.clock.monotonic()
        try:
            response = await handler(request)
        except BaseException:
            took = self._ctx.clock.monotonic() - began
            self._ctx.note(Usage(self._chat.info.model, seconds=took, failed=True))
            raise
        took = self._ctx.clock.monotonic() - began
        for message in response.result:
            if isinstance(message, AIMessage):
                if not message.usage_metadata:
                    self._ctx.warn("The provider reported no usage; tokens and cost are estimates.")
                self._ctx.spent(replace(_usage(message, self._chat, prompt), seconds=took))
        return response

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
            self._ctx.note(ToolRun(call["name"], call["args"], output, took, failed))
        if self._tell_tools:
            await self._ctx.tool(call["name"], call["args"], output[:LONGEST_TOLD])
        return answer

    def _answer_tokens(self, prompt: int) -> int:
        left = Allowance.left(self._ceiling, self._ctx.budget, self._ctx.usages)
        return left.answer_tokens(prompt, self._chat.price_in, self._chat.price_out)


def _usage(message: AIMessage, chat: ChatModel, prompt: int) -> Usage:
    """Return what a model's message took; an estimate where it does not say."""
    metadata = message.usage_metadata
    if metadata:
        tokens_in, tokens_out = metadata["input_tokens"], metadata["output_tokens"]
    else:
        tokens_in, tokens_out = prompt, _tokens(str(message.text))
    return Usage(chat.info.model, tokens_in, tokens_out, chat.usd(tokens_in, tokens_out))


def _prompt_tokens(request: ModelRequest[Any]) -> int:
    """Estimate what a request will be counted as."""
    spoken = [*([request.system_message] if request.system_message else ()), *request.messages]
    tools = sum(_tokens(json.dumps(convert_to_openai_tool(tool))) for tool in request.tools)
    return tools + sum(_message_tokens(message) for message in spoken)


def _message_tokens(message: AnyMessage) -> int:
    calls = message.tool_calls if isinstance(message, AIMessage) else ()
    called = sum(_tokens(json.dumps(call["args"])) + MESSAGE_TOKENS for call in calls)
    return MESSAGE_TOKENS + _tokens(str(message.text)) + called


def _tokens(text: str) -> int:
    return len(text.encode()) // BYTES_PER_TOKEN
