"""Child processes that answer one request at a time, and can be killed over it."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress

from cartrita.errors import InternalFailure
from cartrita.providers.embedded.frames import READY, receive, send

ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
"""Nothing of ours to read. Each arena would take 64 MB of the limited address space."""

_FIND = "import json, sys; sys.path[:] = json.loads(sys.argv[1])"


class Children:
    """Processes of one program, of which one is kept for the next request.

    Args:
        module: Whose `main` answers requests; `frames` says how.
        most_asked: Requests after which a process is replaced, so that no leak grows for ever.
    """

    def __init__(self, module: str, most_asked: int) -> None:
        self._module, self._most = module, most_asked
        self._idle: list[_Child] = []

    async def ask(self, request: bytes, *, again: bool = False) -> bytes | None:
        """Return the answer; None where the process died. Cancelling kills the process.

        Args:
            request: Any bytes.
            again: Whether to ask another process where one that was kept has died: it may have
                before it was asked.
        """
        kept = self._idle.pop() if self._idle else None
        answer = await self._answer(kept, request) if kept else None
        if answer is None and (kept is None or again):
            answer = await self._answer(_Child(self._module), request)
        return answer

    async def _answer(self, child: "_Child", request: bytes) -> bytes | None:
        answer = None
        try:
            answer = await asyncio.to_thread(child.ask, request)
        finally:
            if answer is not None and not self._idle and child.asked < self._most:
                self._idle.append(child)
            else:
                child.kill()
                asyncio.get_running_loop().run_in_executor(None, child.end)
        return answer

    def close(self) -> None:
        """End the process that waits for the next request."""
        while self._idle:
            self._idle.pop().end()


class _Child:
    """One process, with an empty environment."""

    def __init__(self, module: str) -> None:
        start = f"{_FIND}; from {module} import main; main()"
        path = json.dumps([os.path.abspath(entry) for entry in sys.path])  # noqa: PTH100 - "" is here
        self._module = module
        self.asked = 0
        self._popen = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", start, path],
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
                raise InternalFailure(f"The process of {self._module!r} did not start.")
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
