"""Runs models of Hugging Face in this process, one at a time."""

import asyncio
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any

from cartrita.batcher import Batcher
from cartrita.errors import MissingExtra, ModelRequired
from cartrita.providers.embedded.lane import Lane
from cartrita.providers.huggingface.folder import ModelFolder, weights_mb
from cartrita.providers.huggingface.hub import Hub
from cartrita.providers.huggingface.shelf import Shelf
from cartrita.providers.ports_huggingface import ENABLE, Say, TextAnswer, TextAsk, TextKind

CALLERS = 64
"""Who may wait for the model's thread; more are refused."""

BATCH = 8
"""Texts of one forward pass, where callers' texts are joined."""

MOST_LINES = 64
"""Models whose callers' texts are joined."""

JOINED = (
    TextKind.CLASSIFICATION,
    TextKind.ZERO_SHOT,
    TextKind.FILL_MASK,
    TextKind.SIMILARITY,
)
"""Kinds whose texts of several callers go through a model together."""

WRITES = (TextKind.GENERATION, TextKind.SUMMARIZATION, TextKind.TRANSLATION)


class LocalModels:
    """Loads models when they are asked for and keeps those that were used last.

    All work is done by one thread, so that two forward passes never fight for the same cores;
    texts of several callers for the same work of one model go through it together. A caller that is
    cancelled stops the model at its next token or batch; loading goes on, for whoever asks next.

    Args:
        folder: The models that there are.
        hub: Where others come from; None where none may.
        threads: CPU threads of a forward pass.
        most: Models kept loaded.
        most_mb: MB of weights kept loaded.
    """

    def __init__(
        self, folder: ModelFolder, hub: Hub | None, *, threads: int, most: int, most_mb: int
    ) -> None:
        self._folder, self._hub, self._threads = folder, hub, threads
        self._shelf: Shelf[Any] = Shelf(most, most_mb)
        self._lane = Lane("huggingface", CALLERS)
        self._lines: dict[tuple[TextKind, str], Batcher[TextAsk, TextAnswer]] = {}

    @property
    def loaded(self) -> list[object]:
        """What is in memory: kind and name, the one to go first in front."""
        return self._shelf.keys

    async def run(self, ask: TextAsk, say: Say | None = None) -> TextAnswer:
        """Do it with the model that is named.

        Raises:
            ModelRequired: There is no such model here.
            MissingExtra: torch or transformers is not installed.
            ConfigurationInvalid: The model is not made for this, or is no safe file.
            ResourceLimitExceeded: It is too large.
            QueueFull: Too many wait already.
        """
        with self._lane.place():
            if ask.kind in JOINED:
                return (await self._line(ask).ask([ask]))[0]
            if ask.kind not in WRITES:
                return (await self._read([ask]))[0]
            return await self._write(ask, say)

    def close(self) -> None:
        """Do nothing more."""
        for line in self._lines.values():
            line.close()

    def _line(self, ask: TextAsk) -> Batcher[TextAsk, TextAnswer]:
        """Return where texts for the same work of a model wait for each other."""
        key = (ask.kind, ask.model)
        if key not in self._lines:
            while len(self._lines) >= MOST_LINES:  # whoever waits in the oldest still gets served
                self._lines.pop(next(iter(self._lines)))
            self._lines[key] = Batcher(self._read, most=BATCH, name=ask.model)
        return self._lines[key]

    async def _read(self, asks: list[TextAsk]) -> list[TextAnswer]:
        """Have one model read for all of them."""
        stop = Event()
        try:
            point = await self._lane.run(self._load, asks[0].kind, asks[0].model)
            reading = await self._lane.run(self._imported, "reading")
            answers: list[TextAnswer] = await self._lane.run(reading.read, point, asks, stop)
        finally:
            stop.set()
        return answers

    async def _write(self, ask: TextAsk, say: Say | None) -> TextAnswer:
        stop = Event()
        try:
            point = await self._lane.run(self._load, ask.kind, ask.model)
            writing = await self._lane.run(self._imported, "writing")
            work = partial(writing.write, point, ask, stop)
            if say is not None:
                return await self._streamed(work, say)
            answer: TextAnswer = await self._lane.run(work, None)
        finally:
            stop.set()
        return answer

    async def _streamed(
        self, work: Callable[[Callable[[str], None]], TextAnswer], say: Say
    ) -> TextAnswer:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()  # bounded by what may be written

        def speak(text: str) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, text)

        done = asyncio.ensure_future(self._lane.run(work, speak))
        done.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                await say(piece)
            return await done
        finally:
            done.cancel()

    def _load(self, kind: TextKind, name: str) -> Any:
        """Return a model that is ready for a kind of task; runs in the lane."""
        key = (kind, name)
        point = self._shelf.take(key)
        if point is None:
            folder = self._found(name)
            self._shelf.clear_for(weights_mb(folder))
            point = self._imported("checkpoint").load(kind, name, folder)
            self._shelf.put(key, point, point.mb)
        return point

    def _found(self, name: str) -> Path:
        folder = self._folder.find(name)
        if folder is None and self._hub and "/" in name:
            folder = self._hub.fetch(name)
        if folder is None:
            raise ModelRequired(f"There is no model {name!r} here: {ENABLE}.")
        return folder

    def _imported(self, module: str) -> Any:
        """Import what imports torch; runs in the lane.

        Raises:
            MissingExtra: It is not installed.
        """
        try:
            torch = import_module("torch")
            if torch.get_num_threads() != self._threads:
                torch.set_num_threads(self._threads)
            return import_module(f"cartrita.providers.huggingface.{module}")
        except ImportError as error:
            raise MissingExtra(
                f"Models on this machine need torch and transformers ({error.name!r} is missing): "
                "run `pip install 'cartrita[torch]'`."
            ) from error
