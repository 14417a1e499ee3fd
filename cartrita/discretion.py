"""A chat model that is told no personal data: placeholders leave, true values come back."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable

from cartrita.context import Context
from cartrita.privacy.masking import Masker, Unmasking
from cartrita.providers.ports import ChatModel

EMBEDDED = "embedded"
"""The provider of models that run in this process: nothing leaves."""

LONG = 4_096
"""Characters that take a few milliseconds to look through."""


def discreet(chat: ChatModel, ctx: Context) -> Any:
    """Return a chat model's LangChain model, which sends out what the task's rules allow.

    Messages, tool results among them, are masked as they leave. What the model says has its
    true values again, where the rules allow; what it gives to tools always has.
    """
    if chat.info.provider == EMBEDDED or ctx.privacy.rules.mode == "off":
        return chat.model
    return DiscreetChat(inner=chat.model, masker=ctx.privacy)


class DiscreetChat(BaseChatModel):
    """A chat model inside another, with a masker between them.

    Attributes:
        inner: A `BaseChatModel`; loosely typed, as ports have it.
        masker: One task's.
    """

    inner: Any
    masker: Any

    @property
    def _llm_type(self) -> str:
        return str(self.inner._llm_type)  # noqa: SLF001 - LangChain's name for its subclasses

    @property
    def _serialized(self) -> dict[str, Any]:
        """Return what callbacks are told: of the inner model, which is described only once.

        LangChain writes down every field of a model for that, 40 % of the CPU time of a call.
        """
        told: dict[str, Any] = self.inner._serialized  # noqa: SLF001
        return told

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Bind tools as the inner model writes them."""
        bound: Any = self.inner.bind_tools(tools, **kwargs)
        return self.bind(**getattr(bound, "kwargs", {}))  # a model without tools binds nothing

    def _should_stream(self, **kwargs: Any) -> bool:
        return bool(self.inner._should_stream(**kwargs))  # noqa: SLF001

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        result = self.inner._generate(  # noqa: SLF001
            masked(messages, self.masker), stop, **kwargs
        )
        return _unmasked(result, self.masker)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        sent = await self._sent(messages)
        result = await self.inner._agenerate(sent, stop, **kwargs)  # noqa: SLF001
        return _unmasked(result, self.masker)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        pieces = _Pieces(self.masker)
        sent = await self._sent(messages)
        async for chunk in self.inner._astream(sent, stop, **kwargs):  # noqa: SLF001
            yield pieces.take(chunk)
        rest = pieces.rest()
        if rest is not None:
            yield rest

    async def _sent(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        """Return messages as they may leave; where they are long, nobody waits for that."""
        if sum(len(str(message.content)) for message in messages) < LONG:
            return masked(messages, self.masker)
        return await asyncio.to_thread(masked, messages, self.masker)


def masked(messages: Sequence[BaseMessage], masker: Masker) -> list[BaseMessage]:
    """Return messages as they may leave; those given stay as they are."""
    return [_changed(message, masker, masker.mask, masker.mask) for message in messages]


def _changed(message: BaseMessage, masker: Masker, text: Any, calls: Any) -> BaseMessage:
    """Return a copy of a message with its text, and what it gives to tools, changed."""
    update: dict[str, Any] = {"content": _content(message.content, masker, text)}
    if isinstance(message, AIMessage) and message.tool_calls:
        update["tool_calls"] = [
            {**call, "args": masker.within(call["args"], calls)} for call in message.tool_calls
        ]
        extra = message.additional_kwargs  # the same once more, as a provider wrote it
        update["additional_kwargs"] = {k: v for k, v in extra.items() if k != "tool_calls"}
    return message.model_copy(update=update)


def _content(content: Any, masker: Masker, text: Any) -> Any:
    """Change a message's text, in either of the forms that LangChain has for it."""
    if isinstance(content, str):
        return text(content)
    return [
        {**block, "text": text(block["text"])}
        if isinstance(block, dict) and isinstance(block.get("text"), str)
        else masker.within(block, text)
        if isinstance(block, str)
        else block
        for block in content
    ]


def _unmasked(result: ChatResult, masker: Masker) -> ChatResult:
    for generation in result.generations:
        known = _changed(generation.message, masker, masker.shown, masker.unmask)
        generation.message = known
        generation.text = str(known.text)
    return result


class _Pieces:
    """One answer that comes in pieces: its text, and the JSON that each tool is given."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._text = masker.stream()
        self._calls: dict[Any, Unmasking] = {}

    def take(self, chunk: ChatGenerationChunk) -> ChatGenerationChunk:
        """Return a piece with the true values in it; half a placeholder is held back."""
        message = chunk.message
        if not isinstance(message, AIMessageChunk):
            return chunk
        last = message.chunk_position == "last" or "finish_reason" in message.response_metadata
        content = _content(message.content, self._masker, self._text.feed)
        if last and isinstance(content, str):
            content += self._text.end()
        calls = [{**call, "args": self._args(call)} for call in message.tool_call_chunks]
        known = message.model_copy(update={"content": content, "tool_call_chunks": calls})
        return ChatGenerationChunk(message=known, generation_info=chunk.generation_info)

    def rest(self) -> ChatGenerationChunk | None:
        """Return what was held back when the answer ended."""
        text = self._text.end()
        return ChatGenerationChunk(message=AIMessageChunk(content=text)) if text else None

    def _args(self, call: Any) -> str | None:
        if call["args"] is None:
            return None
        quoted = partial(_in_json, self._masker)
        stream = self._calls.setdefault(call.get("index"), self._masker.stream(quoted))
        return stream.feed(call["args"])


def _in_json(masker: Masker, text: str) -> str:
    """Put true values into a piece of JSON, where every placeholder stands in a string."""
    return masker.unmask(text, lambda value: json.dumps(value, ensure_ascii=False)[1:-1])
