"""LangChain's OpenAI model, failing with our own errors."""

import importlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.exceptions import ContextOverflowError
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI
from pydantic import Field

from cartrita.errors import (
    AgentFailed,
    CartritaError,
    ConfigurationInvalid,
    ModelRequired,
    NetworkFailed,
    Reason,
    ResourceLimitExceeded,
)
from cartrita.protocol.patience import seconds_to_wait
from cartrita.providers.openai_stream import BrokenOff, Pace, gathered, joined
from cartrita.providers.tool_schemas import schema_of

LONGEST_DETAIL = 300
"""Characters of a provider's own words that a message repeats."""

FIRST_SERVER_ERROR = 500
TOO_MANY = 429
BUSY = (408, 409, 425, TOO_MANY)
"""Answers below 500 that another try may not get."""

_http = importlib.import_module(openai.DefaultAsyncHttpxClient.__mro__[1].__module__.split(".")[0])
"""The HTTP library this SDK is built on; its errors come through while an answer streams."""


class OpenAiChat(ChatOpenAI):
    """`ChatOpenAI` whose failures are `CartritaError`s.

    Attributes:
        official: Whether OpenAI itself is at the other end. Its newer models refuse
            `max_tokens`; many compatible servers know nothing else.
        pace: How often streams are read; one for all models of a process.
    """

    official: bool = True
    pace: Pace = Field(default_factory=Pace, exclude=True)

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        with _translated(self.model_name):
            return super()._generate(*args, **kwargs)

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Offer tools; what is told of them is computed once."""
        return super().bind_tools([schema_of(tool) for tool in tools], **kwargs)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Ask for a whole answer, sparing the SDK's walk through every field of both bodies."""
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        with _translated(self.model_name):
            if "response_format" in payload:
                return await super()._agenerate(messages, stop, run_manager, **kwargs)
            answer = await self.root_async_client.post(
                "/chat/completions", cast_to=_http.Response, body=payload
            )
            body = answer.json()
            result = self._create_chat_result(body)
        for generation, choice in zip(result.generations, body["choices"], strict=True):
            _keep_refusal(generation.message, choice["message"])
        return result

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        with _translated(self.model_name):
            yield from super()._stream(*args, **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Stream an answer; words that arrive together are one chunk.

        LangChain's own way makes several objects of every word, which bounds a process to a
        thousand words a second or two.
        """
        chosen: dict[str, Any] = {**kwargs, "stream": True}
        if self._should_stream_usage(**kwargs):
            chosen["stream_options"] = {"include_usage": True}
        payload = self._get_request_payload(messages, stop=stop, **chosen)
        with _translated(self.model_name):
            create = self.async_client.with_streaming_response.create
            async with (
                create(**payload) as response,
                aclosing(gathered(response.iter_bytes(), self.pace)) as blocks,
            ):
                async for event in joined(blocks):
                    chunk = self._chunk(event)
                    if chunk is None:
                        continue
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    def _chunk(self, event: dict[str, Any]) -> ChatGenerationChunk | None:
        if "error" in event:
            raise AgentFailed(f"{self.model_name!r} failed: {_brief(str(event['error']))}")
        chunk = self._convert_chunk_to_generation_chunk(event, AIMessageChunk, None)
        if chunk and event.get("choices"):
            _keep_refusal(chunk.message, event["choices"][0]["delta"])
        return chunk

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if not self.official and "max_completion_tokens" in payload:
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return payload


def _keep_refusal(message: BaseMessage, said: dict[str, Any]) -> None:
    """Keep what a model said in declining, which LangChain only does for the SDK's objects."""
    if said.get("refusal"):
        message.additional_kwargs["refusal"] = said["refusal"]


@contextmanager
def _translated(model: str) -> Iterator[None]:
    try:
        yield
    except openai.APIError as error:
        raise _typed(error, model) from error
    except (_http.TransportError, TimeoutError, BrokenOff, json.JSONDecodeError) as error:
        raise _broken(model, error) from error


def _typed(error: openai.APIError, model: str) -> CartritaError:
    """Return what a provider's refusal means here."""
    if isinstance(error, ContextOverflowError) or error.code == "context_length_exceeded":
        return ResourceLimitExceeded(
            f"The conversation is too long for {model!r}: shorten the message or its history."
        )
    if isinstance(error, openai.APIStatusError):
        return _refused(error, model)
    if isinstance(error, openai.APIConnectionError):
        return _broken(model, error)
    return AgentFailed(f"{model!r} failed: {_detail(error)}")


def _refused(error: openai.APIStatusError, model: str) -> CartritaError:
    status = error.status_code
    if status in (401, 403):  # its message may repeat parts of the key
        return ConfigurationInvalid(
            f"The provider refused the API key for {model!r} ({status}): set OPENAI_API_KEY to "
            "one that may use it."
        )
    if error.code == "insufficient_quota":
        return ConfigurationInvalid(
            "The account behind OPENAI_API_KEY has no credit left: add some, or set another key."
        )
    if status == 404:  # noqa: PLR2004 - the one well-known status
        return ModelRequired(
            f"The provider does not serve {model!r}: name another model, or set OPENAI_BASE_URL "
            "to a server that does."
        )
    if status in BUSY or status >= FIRST_SERVER_ERROR:
        return NetworkFailed(
            f"The provider of {model!r} answered {status}: {_detail(error)}",
            Reason.PROVIDER_BUSY if status == TOO_MANY else None,
            retry_after=seconds_to_wait(error.response.headers.get("retry-after")),
        )
    return AgentFailed(f"The provider of {model!r} refused ({status}): {_detail(error)}")


def _broken(model: str, error: Exception) -> NetworkFailed:
    late = isinstance(error, openai.APITimeoutError | _http.TimeoutException | TimeoutError)
    what = "did not answer in time" if late else "could not be reached, or hung up"
    return NetworkFailed(f"The provider of {model!r} {what}; see OPENAI_BASE_URL.")


def _detail(error: openai.APIError) -> str:
    return _brief(error.message)


def _brief(text: str) -> str:
    return " ".join(text.split())[:LONGEST_DETAIL]
