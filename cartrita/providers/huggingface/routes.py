"""Decides which model of Hugging Face does a task, and where."""

from collections.abc import Mapping

from cartrita.context import Context, Usage
from cartrita.errors import ModelRequired
from cartrita.providers.huggingface.folder import ModelFolder, well_formed
from cartrita.providers.huggingface.inference import InferenceApi
from cartrita.providers.ports_huggingface import (
    ENABLE,
    LOCAL_TASK,
    TextAnswer,
    TextAsk,
    TextKind,
)

AUTO = "auto"
BUILT_IN = "local/"
PLACED = (TextKind.ANSWERING, TextKind.TOKENS)
"""What tells where something stands."""

CHATS = (TextKind.GENERATION, TextKind.TRANSLATION)
"""What chat models do as well: theirs are the names that could be anybody's."""


class HuggingFaceModels:
    """A folder here first, then the hub, then the inference API.

    What runs here runs in a host of its own, as a task of its own.

    Args:
        folder: The models that there are.
        defaults: Which model does a kind of task where the caller names none.
        api: The inference API, where it may be used.
        download: Whether models of the hub are fetched.
        chat_ids: Whether a configured chat server may have models that are named as at the hub.
    """

    def __init__(
        self,
        folder: ModelFolder,
        defaults: Mapping[TextKind, str],
        api: InferenceApi | None,
        *,
        download: bool,
        chat_ids: bool,
    ) -> None:
        self._folder, self._defaults, self._api = folder, defaults, api
        self._download, self._chat_ids = download, chat_ids

    def choose(self, kind: TextKind, asked: str | None) -> str | None:
        """Return the model that does this kind of task; None where none of these shall."""
        if asked is None or asked == AUTO:
            return self._defaults.get(kind)
        if asked.startswith(BUILT_IN) or not well_formed(asked):
            return None
        if asked == self._defaults.get(kind) or self._folder.find(asked):
            return asked
        if kind in CHATS and ("/" not in asked or self._chat_ids):
            return None
        return asked if self._api or (self._download and "/" in asked) else None

    async def run(self, ask: TextAsk, ctx: Context) -> TextAnswer:
        """Have a chosen model do it, and meter that.

        What is generated is shown while it is written, where the caller wants that.

        Raises:
            ModelRequired: Nothing here has that model.
            CartritaError: What the model's host or the inference API ended with.
        """
        began = ctx.clock.monotonic()
        answer = await self._answered(ask, ctx)
        took = ctx.clock.monotonic() - began
        tokens = (answer.tokens_in, answer.tokens_out) if ask.kind in CHATS else (0, 0)
        ctx.spent(Usage(answer.model, *tokens, seconds=took))
        if answer.cut:
            ctx.warn("The answer was cut off at its token limit.")
        return answer

    async def _answered(self, ask: TextAsk, ctx: Context) -> TextAnswer:
        shown = ask.kind is TextKind.GENERATION and ctx.preferences.streaming
        if self._folder.find(ask.model) or (self._download and "/" in ask.model):
            return await ctx.call(LOCAL_TASK, ask, into=TextAnswer, relay=shown)
        if self._api is None:
            raise ModelRequired(f"There is no model {ask.model!r} here: {ENABLE}.")
        if ask.kind in CHATS:
            ctx.warn("The inference API reports no usage; tokens are estimates.")
        return await self._far(self._api, ask, ctx, shown=shown)

    @staticmethod
    async def _far(api: InferenceApi, ask: TextAsk, ctx: Context, *, shown: bool) -> TextAnswer:
        """Ask the inference API, which is told no personal data."""
        masker = ctx.privacy
        sent = ask.model_copy(
            update=masker.within(
                {"text": ask.text, "question": ask.question, "labels": ask.labels}, masker.mask
            )
        )
        if sent.text != ask.text and ask.kind in PLACED:
            ctx.warn("Personal data was masked; positions are those in the masked text.")
        pieces = masker.stream()

        async def say(text: str) -> None:
            if known := pieces.feed(text):
                await ctx.token(known)

        answer = await api.run(sent, say if shown else None)
        if rest := pieces.end():
            await ctx.token(rest)
        found = [
            one.model_copy(
                update={"label": masker.shown(one.label), "text": masker.shown(one.text)}
            )
            for one in answer.findings
        ]
        return answer.model_copy(update={"text": masker.shown(answer.text), "findings": found})

    async def close(self) -> None:
        """Close the connections to the inference API."""
        if self._api:
            await self._api.close()
