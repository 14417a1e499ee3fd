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
from cartrita.discretion import discreet
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
    """

    text: str
    refused: bool
    calls: tuple[Called, ...]
    tokens: int


async def converse(
    chat: ChatModel,
    said: Sequence[Said],
    tools: Sequence[Any],
    ctx: Context,
    ceiling: Price,
    *,
    answer_tokens: int = ANSWER_TOKENS,
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

    Raises:
        InsufficientBudget: The next model call would not fit.
        TaskTimeout: The deadline passed.
        AgentFailed: The model came to no answer.
    """
    middleware: list[Any] = [  # each has a state of its own, which no common type allows
        ModelCallLimitMiddleware(run_limit=MODEL_CALLS, exit_behavior="error"),
        ToolCallLimitMiddleware(run_limit=TOOL_CALLS),
        _Meter(chat, ctx, ceiling, answer_tokens),
    ]
    agent: Any = create_agent(discreet(chat, ctx), tools=list(tools), middleware=middleware)
    before = len(ctx.usages)
    if ctx.complaint:
        said = [*said, Said("user", AGAIN.format(ctx.complaint))]
    messages = [{"role": message.role, "content": message.content} for message in said]
    try:
        async with asyncio.timeout(min(ctx.remaining(), LONGEST_WAIT)) as limit:
            state = await agent.ainvoke({"messages": messages})
    except TimeoutError:
        if not limit.expired():
            raise
        raise TaskTimeout(f"{chat.info.model!r} did not answer before the deadline.") from None
    except ModelCallLimitExceededError:
        raise AgentFailed(
            f"{chat.info.model!r} came to no answer within {MODEL_CALLS} calls."
        ) from None
    used = sum(usage.tokens_in + usage.tokens_out for usage in ctx.usages[before:])
    return _reply(state["messages"][len(said) :], chat, ctx, used)


def _reply(since: Sequence[AnyMessage], chat: ChatModel, ctx: Context, tokens: int) -> Reply:
    answer = since[-1]
    refusal = answer.additional_kwargs.get("refusal")
    text = str(answer.text) or str(refusal or "")
    if not text.strip():
        raise AgentFailed(f"{chat.info.model!r} gave an empty answer; ask again, or otherwise.")
    if answer.response_metadata.get("finish_reason") == "length":
        ctx.warn("The answer was cut off at its token limit.")
    return Reply(text, bool(refusal), _calls(since), tokens)


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

    def __init__(self, chat: ChatModel, ctx: Context, ceiling: Price, longest: int) -> None:
        super().__init__()
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
                self._ctx.spent(replace(self._usage(message, prompt), seconds=took))
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
        return answer

    def _answer_tokens(self, prompt: int) -> int:
        left = Allowance.left(self._ceiling, self._ctx.budget, self._ctx.usages)
        return left.answer_tokens(prompt, self._chat.price_in, self._chat.price_out)

    def _usage(self, message: AIMessage, prompt: int) -> Usage:
        metadata = message.usage_metadata
        if metadata:
            tokens_in, tokens_out = metadata["input_tokens"], metadata["output_tokens"]
        else:
            self._ctx.warn("The provider reported no usage; tokens and cost are estimates.")
            tokens_in, tokens_out = prompt, _tokens(str(message.text))
        usd = self._chat.usd(tokens_in, tokens_out)
        return Usage(self._chat.info.model, tokens_in, tokens_out, usd)


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
