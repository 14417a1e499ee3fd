"""Watching processes of the operating system from a test."""

import asyncio
import subprocess
from collections.abc import Callable, Iterable
from contextlib import contextmanager, suppress

import psutil


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def eventually(condition: Callable[[], object], within: float) -> bool:
    """Ask until the condition holds or the time is over: for what no event announces."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not condition():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


async def all_gone(pids: Iterable[int], within: float) -> bool:
    """Whether every process ends in time."""
    watched = list(pids)
    return await eventually(lambda: not any(alive(pid) for pid in watched), within)


@contextmanager
def running(*argv, **options):
    """Run a program, and end it with all it started."""
    process = subprocess.Popen([*map(str, argv)], **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            owner = psutil.Process(process.pid)
            owner.suspend()  # so that it starts nobody behind our back
            for one in [*owner.children(recursive=True), owner]:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        process.wait()
