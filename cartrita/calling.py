"""Calls a chat model: metered, within what may be spent, again or otherwise when it fails."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from langchain.agents.middleware.types import ModelResponse
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, AnyMessage

from cartrita.clock import new_random
from cartrita.context import Context, Usage
from cartrita.cost.allowance import Allowance
from cartrita.cost.price import Price
from cartrita.discretion import discreet
from cartrita.errors import (
    CartritaError,
    ConfigurationInvalid,
    InsufficientBudget,
    NetworkFailed,
    ResourceLimitExceeded,
)
from cartrita.providers.guarded import ABANDONED, LONGEST_TURN, Work, again, hedged
from cartrita.providers.ports import Candidate, ChatModel
from cartrita.providers.tool_schemas import schema_of
from cartrita.telemetry import genai

BYTES_PER_TOKEN = 3
"""Errs on the long side for English (4 to 5), where a reservation depends on it."""

MESSAGE_TOKENS = 8
"""What a message costs besides its text."""

LONGEST_PAUSE = 20.0
"""Seconds that a provider may ask to wait; who wants more is not asked again here."""

Run = Callable[[Any, dict[str, Any]], Awaitable[ModelResponse[Any]]]
"""Makes one call of a LangChain model with settings of that call."""


class Caller:
    """Makes the model calls of one conversation.

    Whoever answered is asked again in the next call. What another model may not have, a failing
    network, a missing model, a refused key or too small a window, has the next one asked.

    Args:
        candidates: Who may answer, in order.
        ctx: The task, for its deadline, budget and metering.
        ceiling: What the task declares as its price.
        longest: Tokens of the longest single answer.
        stream: Whether its words are shown as they come.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        ctx: Context,
        ceiling: Price,
        longest: int,
        *,
        stream: bool = False,
    ) -> None:
        self._candidates, self._at = candidates, 0
        self._ctx, self._ceiling, self._longest = ctx, ceiling, longest
        self._stream = stream
        self._random = new_random()
        self._told: set[str] = set()
        self.shown = self._speaking = False

    @property
    def chat(self) -> ChatModel:
        """Who answered last, or will be asked first."""
        return self._candidates[self._at].chat

    async def call(self, prompt: int, run: Run) -> ModelResponse[Any]:
        """Make one call, by whichever candidate answers.

        Args:
            prompt: Tokens that it is estimated to be.
            run: Makes it.

        Raises:
            CartritaError: Nobody answered; the first failure that another try may mend, else
                the first.
        """
        failures: list[CartritaError] = []
        self._speaking = False
        while True:
            try:
                response = await self._tried(self.chat, prompt, run)
            except (
                NetworkFailed,
                ConfigurationInvalid,
                ResourceLimitExceeded,
                InsufficientBudget,
            ) as error:
                failures.append(error)
                following = self._following(error)
                if following is None:
                    raise next((e for e in failures if e.retryable), failures[0]) from error
                self._at = following
            else:
                self._tell(failures)
                return response

    def _following(self, error: CartritaError) -> int | None:
        """Return who is asked next; nobody once words of another's answer were shown."""
        if self._speaking:
            return None
        price, tight = self.chat.price_out, isinstance(error, InsufficientBudget)
        for index in range(self._at + 1, len(self._candidates)):
            candidate = self._candidates[index]
            if candidate.chat.price_out < price if tight else not candidate.to_save:
                return index
        return None

    def _tell(self, failures: Sequence[CartritaError]) -> None:
        """Say who answered, where that is not who was asked."""
        candidate = self._candidates[self._at]
        text = candidate.why
        if failures and not isinstance(failures[-1], InsufficientBudget):
            text = f"{candidate.chat.info.model!r} answered instead: {failures[-1].message}"
        if text and text not in self._told:
            self._told.add(text)
            self._ctx.warn(text)

    async def _tried(self, chat: ChatModel, prompt: int, run: Run) -> ModelResponse[Any]:
        """Call one model, and once more where the network failed and there is time for it."""
        after = None if self._stream else chat.hedge_after

        def call() -> Work[ModelResponse[Any]]:
            return hedged(
                lambda: self._once(chat, prompt, run),
                lambda: self._second(chat, prompt, run),
                after,
            )

        return await again(call, self._random, self._patience)

    def _patience(self, _error: CartritaError) -> float:
        return 0.0 if self._speaking else min(LONGEST_PAUSE, self._ctx.remaining())

    def _second(self, chat: ChatModel, prompt: int, run: Run) -> Work[ModelResponse[Any]] | None:
        """Make a second call, where both would fit what may be spent."""
        held = Usage(chat.info.model, prompt, self._longest, chat.usd(prompt, self._longest))
        try:
            self._limit(chat, prompt, held)
        except InsufficientBudget:
            return None
        self._ctx.measure("hedges", self._ctx.measures.get("hedges", 0) + 1)
        return self._once(chat, prompt, run, held)

    async def _once(
        self, chat: ChatModel, prompt: int, run: Run, held: Usage | None = None
    ) -> ModelResponse[Any]:
        """Make one call and meter it, whatever comes of it."""
        settings = self._limit(chat, prompt, held)
        model, heard = discreet(chat, self._ctx), _Heard(self)
        if self._stream:
            model = model.model_copy(update={"callbacks": [heard]})
        clock = self._ctx.clock
        began: float | None = None
        try:
            async with chat.lane.turn(min(self._ctx.remaining(), LONGEST_TURN)) as turn:
                began = clock.monotonic()
                response = await _typed(chat, run(model, settings))
                answers = [item for item in response.result if isinstance(item, AIMessage)]
                usages = [self._usage(chat, answer, prompt) for answer in answers]
                turn.tokens = sum(usage.tokens_out for usage in usages)
        except BaseException as error:
            if began is not None:
                took, info = clock.monotonic() - began, chat.info
                genai.called("chat", info.provider, info.model, took, error=genai.name_of(error))
                failed = Usage(chat.info.model, seconds=took, failed=True)
                self._broken(chat, prompt, heard, error, failed)
            raise
        took = clock.monotonic() - began
        genai.called("chat", chat.info.provider, chat.info.model, took)
        for usage in usages:
            genai.used("chat", chat.info.provider, usage.model, usage.tokens_in, usage.tokens_out)
            self._ctx.spent(replace(usage, seconds=took))
        return response

    def _limit(self, chat: ChatModel, prompt: int, held: Usage | None) -> dict[str, Any]:
        """Return the settings that keep an answer within what may be spent.

        Raises:
            InsufficientBudget: It would not fit, beside what is held for a call under way.
        """
        if not chat.info.generative:
            return {}
        usages = [*self._ctx.usages, *([held] if held else ())]
        left = Allowance.left(self._ceiling, self._ctx.budget, usages)
        fits = left.answer_tokens(prompt, chat.price_in, chat.price_out)
        return {"max_tokens": min(self._longest, fits)}

    def _broken(
        self, chat: ChatModel, prompt: int, heard: "_Heard", error: BaseException, failed: Usage
    ) -> None:
        """Meter a call that came to no end: what was seen of it, as an estimate."""
        abandoned = isinstance(error, asyncio.CancelledError) and ABANDONED in error.args
        if not (heard.size or abandoned):
            self._ctx.note(failed)
            return
        tokens_out = -(-heard.size // BYTES_PER_TOKEN)
        usd = chat.usd(prompt, tokens_out)
        self._ctx.spent(replace(failed, tokens_in=prompt, tokens_out=tokens_out, usd=usd))
        what = "A call beside a slow one was given up" if abandoned else "An answer broke off"
        self._ctx.warn(f"{what}; what it cost is an estimate.")

    def _usage(self, chat: ChatModel, message: AIMessage, prompt: int) -> Usage:
        metadata = message.usage_metadata
        if metadata:
            tokens_in, tokens_out = metadata["input_tokens"], metadata["output_tokens"]
        else:
            self._ctx.warn("The provider reported no usage; tokens and cost are estimates.")
            tokens_in, tokens_out = prompt, tokens_of(str(message.text))
        return Usage(chat.info.model, tokens_in, tokens_out, chat.usd(tokens_in, tokens_out))

    async def show(self, text: str) -> None:
        """Show a piece of an answer."""
        self.shown = self._speaking = True
        await self._ctx.token(text)


class _Heard(AsyncCallbackHandler):
    """Hears a model's words as they come; that it is there makes LangChain stream.

    Attributes:
        size: Bytes of them.
    """

    raise_error = True

    def __init__(self, caller: Caller) -> None:
        super().__init__()
        self._caller, self.size = caller, 0

    async def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
        """Show the text of a chunk."""
        text = str(chunk.message.text) if chunk is not None else str(token)
        if text:
            self.size += len(text.encode())
            await self._caller.show(text)

    def tap_output_aiter(self, run_id: Any, output: Any) -> Any:
        """Let everything pass; LangChain knows by this method that somebody listens."""
        return output

    def tap_output_iter(self, run_id: Any, output: Any) -> Any:
        """Let everything pass."""
        return output


async def _typed(chat: ChatModel, call: Awaitable[ModelResponse[Any]]) -> ModelResponse[Any]:
    try:
        return await call
    except CartritaError:
        raise
    except Exception as error:
        known = chat.typed(error) if chat.typed else None
        if known is None:
            raise
        raise known from error


def prompt_tokens(messages: Sequence[AnyMessage], tools: Sequence[Any]) -> int:
    """Estimate what a prompt will be counted as."""
    schemas = sum(tokens_of(json.dumps(schema_of(tool))) for tool in tools)
    return schemas + sum(map(_message_tokens, messages))


def _message_tokens(message: AnyMessage) -> int:
    calls = message.tool_calls if isinstance(message, AIMessage) else ()
    called = sum(tokens_of(json.dumps(call["args"])) + MESSAGE_TOKENS for call in calls)
    return MESSAGE_TOKENS + tokens_of(str(message.text)) + called


def tokens_of(text: str) -> int:
    """Estimate what a text will be counted as."""
    return len(text.encode()) // BYTES_PER_TOKEN
