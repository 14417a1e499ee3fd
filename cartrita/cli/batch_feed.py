"""Brings a batch's lines from a thread that may wait for them."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator

from cartrita.cli.batch_lines import Line, Tally, lines, task_of
from cartrita.client.bulk import Asked
from cartrita.errors import CartritaError, ConfigurationInvalid

AHEAD = 1000
"""Lines that are read before anybody takes them."""

Read = tuple[Line, Asked]


class Feed:
    """Reads, compares and parses the lines of a file.

    Args:
        descriptor: Of the file. What waits in it (a person, a pipe) keeps nobody from leaving.
        batch: The batch's id.
        tally: Which lines are done with already.

    Attributes:
        skipped: Bytes of lines that were done with.
    """

    def __init__(self, descriptor: int, batch: str, tally: Tally) -> None:
        self._descriptor, self._batch, self._tally = descriptor, batch, tally
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Queue[Line | OSError | None] = asyncio.Queue()
        self._room = threading.Semaphore(AHEAD)
        self.skipped = 0

    async def read(self) -> AsyncIterator[Read]:
        """Yield the lines that are not done with, each as its task or why it is none.

        Raises:
            InvalidParameters: The file is not the one that the tally tells of.
        """
        threading.Thread(target=self._run, name="batch-lines", daemon=True).start()
        while (line := await self._ready.get()) is not None:
            if isinstance(line, OSError):
                raise ConfigurationInvalid(f"The tasks cannot be read: {line.strerror}.")
            self._room.release()
            if not self._tally.news(line):
                self.skipped += line.size
                continue
            yield line, self._asked(line)
        self._tally.end()

    def _asked(self, line: Line) -> Asked:
        try:
            return task_of(line, self._batch)
        except CartritaError as error:
            return error

    def _run(self) -> None:
        try:
            for line in self._lines():
                self._room.acquire()
                self._pass_on(line)
            self._pass_on(None)
        except OSError as error:
            self._pass_on(error)
        except RuntimeError:  # the loop is closed: nobody listens any more
            return

    def _lines(self) -> Iterator[Line]:
        return lines(lambda size: os.read(self._descriptor, size))

    def _pass_on(self, item: Line | OSError | None) -> None:
        self._loop.call_soon_threadsafe(self._ready.put_nowait, item)
