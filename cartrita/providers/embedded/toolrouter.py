"""A chat model that only calls tools, by rules, and says so."""

import json
import math
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    UsageMetadata,
)
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from cartrita.errors import ModelRequired
from cartrita.providers.embedded.intent import Open, Outcome, Step, Tool, Tools, Use
from cartrita.providers.embedded.likeness import Likeness
from cartrita.providers.embedded.routing import plan, settled
from cartrita.providers.embedded.wording import MODEL, REFUSAL, answer, needs_model
from cartrita.providers.ports import Embedder, ModelInfo

INFO = ModelInfo(
    model=MODEL,
    provider="embedded",
    generative=False,
    limitations=(
        "Routes requests to tools by rules; it is not a language model and writes no text.",
        "Understands short English requests.",
    ),
)

CHARACTERS_PER_TOKEN = 4
"""The usual estimate: there is no tokenizer here to be exact about."""


class ToolRouter(BaseChatModel):
    """Plans tool calls from the last human message and quotes their results.

    Everything is derived from the messages, so replays and checkpoints repeat themselves. The
    asynchronous calls also compare meanings when there is an embedder; the synchronous ones
    go by rules alone.
    """

    _likeness: Likeness | None = PrivateAttr(default=None)

    def __init__(self, embedder: Embedder | None = None) -> None:
        super().__init__()
        self._likeness = Likeness(embedder) if embedder else None

    @property
    def _llm_type(self) -> str:
        return "cartrita-tool-router"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": MODEL}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Tell the model which tools there are; it chooses by itself."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        tools = _tools(kwargs)
        steps = [settled(step, tools) for step in plan(_asked(messages), tools)]
        return _result(_reply(messages, steps, tools))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        tools = _tools(kwargs)
        steps = [await self._settled(step, tools) for step in plan(_asked(messages), tools)]
        return _result(_reply(messages, steps, tools))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _chunks(self._generate(messages, stop, **kwargs)):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(await self._agenerate(messages, stop, **kwargs)):
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _settled(self, step: Step, tools: Tools) -> Step:
        if isinstance(step, Open) and self._likeness:
            try:
                step = await self._likeness.settled(step, tools)
            except ModelRequired:  # the weights are an option: go by rules
                self._likeness = None
        return settled(step, tools)


def _tools(kwargs: dict[str, Any]) -> Tools:
    """Return the bound tools by name, in the order they were given."""
    functions = [tool["function"] for tool in kwargs.get("tools", ())]
    return {
        item["name"]: Tool(item["name"], item.get("description", ""), item.get("parameters", {}))
        for item in functions
    }


def _last_human(messages: Sequence[BaseMessage]) -> int:
    """Return where the last human message stands, or -1."""
    places = (i for i in reversed(range(len(messages))) if isinstance(messages[i], HumanMessage))
    return next(places, -1)


def _asked(messages: Sequence[BaseMessage]) -> str:
    place = _last_human(messages)
    return str(messages[place].text) if place >= 0 else ""


def _reply(messages: Sequence[BaseMessage], steps: Sequence[Step], tools: Tools) -> AIMessage:
    """Call the tools the steps are for, or, once they were called, say what came of it."""
    place = _last_human(messages)
    ids = {f"call_{place}_{number}": number for number in range(len(steps))}
    since = messages[place + 1 :]
    calls = [
        tool_call(name=step.tool, args=step.args, id=call_id)
        for call_id, step in zip(ids, steps, strict=True)
        if isinstance(step, Use)
    ]
    if calls and not any(isinstance(message, AIMessage) for message in since):
        return _message("", messages, calls)
    outcomes = {
        ids[message.tool_call_id]: Outcome(str(message.text), message.status == "error")
        for message in since
        if isinstance(message, ToolMessage) and message.tool_call_id in ids
    }
    message = _message(answer(steps, outcomes, tools), messages, [])
    if needs_model(steps, outcomes):
        message.additional_kwargs["refusal"] = REFUSAL
    return message


def _message(text: str, messages: Sequence[BaseMessage], calls: list[Any]) -> AIMessage:
    read = sum(len(message.text) for message in messages)
    written = len(text) + sum(len(str(call["args"])) for call in calls)
    tokens_in, tokens_out = (math.ceil(size / CHARACTERS_PER_TOKEN) for size in (read, written))
    return AIMessage(
        content=text,
        tool_calls=calls,
        usage_metadata=UsageMetadata(
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            total_tokens=tokens_in + tokens_out,
        ),
        response_metadata={
            "model_name": MODEL,
            "model_provider": INFO.provider,
            "finish_reason": "tool_calls" if calls else "stop",
        },
    )


def _result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)])


def _chunks(result: ChatResult) -> Iterator[ChatGenerationChunk]:
    """Cut an answer into words, then its tool calls, then what it took."""
    message = result.generations[0].message
    assert isinstance(message, AIMessage)
    for word in re.findall(r"\S+\s*|\s+", message.text):
        yield ChatGenerationChunk(message=AIMessageChunk(content=word))
    for index, call in enumerate(message.tool_calls):
        piece = tool_call_chunk(
            name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index
        )
        yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[piece]))
    yield ChatGenerationChunk(
        message=AIMessageChunk(
            content="",
            additional_kwargs=message.additional_kwargs,
            usage_metadata=message.usage_metadata,
            response_metadata=message.response_metadata,
            chunk_position="last",
        )
    )
