"""Holds the processes of one run, and ends them together."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Self

MOST_COMPLAINT = 4096
"""Bytes of what bubblewrap says where it fails."""

LOOK_EVERY = 0.05
"""Seconds between two looks at what a run uses."""

END_WITHIN = 5.0
"""Seconds in which killed processes are gone; a kernel that takes longer has other troubles."""

CHUNK = 65536

_EYES = ThreadPoolExecutor(2, "sandbox-watch")
"""Threads of their own, so that nobody else's work keeps them from looking."""


class Cell:
    """One bubblewrap and all that lives in it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.first: int | None = None
        """The first process inside; while it lives, others may."""
        self._pidfd: int | None = None

    @classmethod
    async def start(
        cls, argv: Sequence[str], inherit: Sequence[int], info: tuple[int, int]
    ) -> Self:
        """Start bubblewrap and wait until it has built the walls.

        Must be called in a thread that lives as long as the run: the kernel ends the sandbox
        with the thread that started it.

        Args:
            argv: The whole command.
            inherit: Descriptors that it gets; they are not closed here.
            info: A pipe whose writing end is among them; both ends are closed here.
        """
        reading, writing = info
        try:
            cell = cls(await _started(argv, inherit, writing))
            try:
                cell._found(await _told(reading))
            except BaseException:
                await cell.end()
                raise
        finally:
            os.close(reading)
        return cell

    def _found(self, told: bytes) -> None:
        """Take hold of the first process inside, where there is one."""
        with suppress(ValueError, KeyError, ProcessLookupError):
            first = int(json.loads(told)["child-pid"])
            self._pidfd = os.pidfd_open(first)
            self.first = first

    async def ask(self, request: bytes, most: int) -> bytes:
        """Send the request and return the answer, cut after `most` bytes."""
        source, target = self._process.stdout, self._process.stdin
        assert source is not None
        assert target is not None
        target.write(request)
        with suppress(ConnectionError):
            await target.drain()
        target.close()
        answer = bytearray()
        while len(answer) <= most and (data := await source.read(CHUNK)):
            answer += data
        return bytes(answer)

    async def watch(self, over: Callable[[int], bool]) -> None:
        """Look at the processes again and again, and kill them when they are over a bound."""
        while self.first is not None and self._process.returncode is None:
            if await asyncio.get_running_loop().run_in_executor(_EYES, over, self.first):
                self.kill()
                return
            await asyncio.sleep(LOOK_EVERY)

    async def complaint(self) -> str:
        """Return what bubblewrap, or what it started, said about itself."""
        assert self._process.stderr is not None
        data = await self._process.stderr.read(MOST_COMPLAINT)
        return data.decode(errors="replace").strip()

    def kill(self) -> None:
        """Let everybody die: with the first process go all that it has below it."""
        if self._pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill everybody and wait until nobody is left."""
        self.kill()
        try:
            async with asyncio.timeout(END_WITHIN):
                if self._pidfd is not None:
                    await _readable(self._pidfd)
                await self._closed()
        except TimeoutError:
            pass
        finally:
            if self._pidfd is not None:
                os.close(self._pidfd)
                self._pidfd = None

    async def _closed(self) -> None:
        """Read away what is left in the pipes, whose writers are dead, so that they close."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        for pipe in (self._process.stdout, self._process.stderr):
            while pipe is not None and await pipe.read(CHUNK):
                pass
        await self._process.wait()


async def _started(
    argv: Sequence[str], inherit: Sequence[int], writing: int
) -> asyncio.subprocess.Process:
    """Start bubblewrap; the end of the pipe that it writes to is its own from then on."""
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=tuple(inherit),
            env={},
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(writing)


async def _told(fd: int) -> bytes:
    told = b""
    while not told.rstrip().endswith(b"}"):
        await _readable(fd)
        data = os.read(fd, CHUNK)
        if not data:
            break
        told += data
    return told


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, wake)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
