"""Has HTML read where it can do no harm."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress

from cartrita.errors import AgentFailed, InternalFailure
from cartrita.providers.embedded.frames import READY, receive, send
from cartrita.providers.ports_web import Link, Page

RUNNING = 2
"""Pages at a time; each has a process."""

PAGES_PER_PROCESS = 500
"""After these a process is replaced, so that no leak grows for ever."""

SECONDS = 8.0
"""For one page. One of 5 MB takes one of them, unless it was made to take for ever."""

ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from cartrita.providers.web.markupchild import main; main()"
)


class Markup:
    """A parser in a process that can be killed.

    HTML's rules take quadratic time and memory for what is nested deeply, has many attributes or
    never closes what it emphasises: five megabytes can keep a core busy for half an hour.
    The process starts with the first page, has an empty environment and little memory, and is
    kept unless its page had to be given up.

    Args:
        seconds: For one page.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._places = asyncio.Semaphore(RUNNING)
        self._idle: list[_Process] = []

    async def read(self, url: str, text: str, kind: str) -> Page:
        """Return what a page says.

        Raises:
            AgentFailed: It takes too long, or too much memory.
        """
        request = json.dumps([url, text, kind]).encode()
        async with self._places:
            try:
                async with asyncio.timeout(self._seconds):
                    answer = await self._asked(request)
            except TimeoutError:
                answer = None
        if answer is None:
            raise AgentFailed(f"{url!r} is built so that reading it takes too much.")
        told = json.loads(answer)
        return Page(**(told | {"links": tuple(Link(**link) for link in told["links"])}))

    async def _asked(self, request: bytes) -> bytes | None:
        """Return an answer; a process that was kept may have died in the meantime."""
        if self._idle and (answer := await self._answer(self._idle.pop(), request)) is not None:
            return answer
        return await self._answer(_Process(), request)

    async def _answer(self, process: "_Process", request: bytes) -> bytes | None:
        answer = None
        try:
            answer = await asyncio.to_thread(process.ask, request)
        finally:
            if answer is not None and not self._idle and process.asked < PAGES_PER_PROCESS:
                self._idle.append(process)
            else:
                process.kill()
                asyncio.get_running_loop().run_in_executor(None, process.end)
        return answer

    def close(self) -> None:
        """End the process that waits for the next page."""
        while self._idle:
            self._idle.pop().end()


class _Process:
    """A child that reads one page at a time."""

    def __init__(self) -> None:
        path = json.dumps([os.path.abspath(entry) for entry in sys.path])  # noqa: PTH100 - "" is here
        self.asked = 0
        self._popen = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _START, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,  # Ctrl-C is for us; the end of its input is its sign
        )

    def ask(self, request: bytes) -> bytes | None:
        """Return the answer, or None where the process died. Blocks; runs in a thread.

        Raises:
            InternalFailure: The process did not even start.
        """
        source, target = self._popen.stdout, self._popen.stdin
        assert source is not None
        assert target is not None
        try:
            if not self.asked and receive(source) != READY:
                raise InternalFailure("The process that reads pages did not start.")
            self.asked += 1
            send(target, request)
            return receive(source)
        except OSError:
            return None

    def kill(self) -> None:
        """Let the process die, which wakes the thread that waits for its answer."""
        self._popen.kill()

    def end(self) -> None:
        """Kill the process and give back what it held. Blocks for as long as dying takes."""
        self._popen.kill()
        for pipe in (self._popen.stdin, self._popen.stdout):
            with suppress(OSError):
                if pipe:
                    pipe.close()
        self._popen.wait()
