"""Runs programs in bubblewrap."""

import asyncio
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cartrita.errors import InvalidParameters, QueueFull, SandboxUnavailable
from cartrita.providers.ports_sandbox import Ended, Program, Ran
from cartrita.providers.sandbox import frames, selftest
from cartrita.providers.sandbox.cell import Cell
from cartrita.providers.sandbox.interpreters import Interpreter, interpreters
from cartrita.providers.sandbox.seccomp import MACHINES, compiled
from cartrita.providers.sandbox.walls import (
    ENVIRONMENT,
    FOLDERS,
    Bounds,
    Fds,
    command,
)
from cartrita.providers.sandbox.watch import use_of

WAITING = 32
"""Programs that wait for a place; further ones are refused."""

GRACE = 1.0
"""Seconds after which the clock outside ends what the clock inside should have ended."""

STARTS_WITHIN = 10.0
"""Seconds that bubblewrap has for building the walls."""

INSTALL = "install bubblewrap (Debian and Ubuntu: `apt-get install bubblewrap`)"


DEFAULT = Bounds()


class Bubblewrap:
    """A sandbox for every run, made anew and gone afterwards.

    It has its own namespaces of every kind, so no network and no processes but its own; the
    system read-only; three folders in memory to write to; a user without rights; a filter of
    system calls; and the kernel's limits for each process. What all its processes use together
    is looked at from outside, twenty times a second. Before the first run it is tried whether
    all this holds on this machine: if it does not, nothing is run.

    Args:
        bounds: Of each run.
        parallel: Runs at a time.
        python: The interpreter for Python; by default the system's, or else ours.
    """

    def __init__(
        self, bounds: Bounds = DEFAULT, parallel: int = 2, python: Path | None = None
    ) -> None:
        self._bounds = bounds
        self._places = asyncio.Semaphore(parallel)
        self._inside = parallel + WAITING
        self._interpreters = interpreters(python, bounds.memory)
        self._trying = asyncio.Lock()
        self._holds = False

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the languages whose interpreters are here."""
        return tuple(self._interpreters)

    async def run(self, program: Program, timeout: float) -> Ran:
        """Run a program, at most `timeout` seconds and no longer than the bounds allow."""
        if program.language not in self._interpreters:
            known = ", ".join(self._interpreters)
            message = f"{program.language!r} cannot be run here; {known} can"
            raise InvalidParameters(f"{message}.", fields=[("language", message)])
        await self.check()
        with self._place():
            async with self._places:
                return await self._run(program, min(timeout, self._bounds.seconds), _Look())

    async def check(self) -> str:
        """Try once whether the walls hold, and return a line about it.

        Raises:
            SandboxUnavailable: They do not, or cannot be built.
        """
        async with self._trying:
            if not self._holds:
                look = _Look()
                ran = await self._run(selftest.program(self._bounds), self._bounds.seconds, look)
                failed = selftest.failures(ran)
                if not look.saw_files:
                    failed.append("files are counted")
                if failed:
                    raise SandboxUnavailable(
                        f"bubblewrap does not hold on this machine, so no code is run: "
                        f"{'; '.join(failed)}."
                    )
                self._holds = True
        return f"bubblewrap; {', '.join(self._interpreters)}"

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._inside == 0:
            raise QueueFull("Too many programs wait for the sandbox.", retry_after=1.0)
        self._inside -= 1
        try:
            yield
        finally:
            self._inside += 1

    async def _run(self, program: Program, seconds: float, look: "_Look") -> Ran:
        interpreter = self._interpreters[program.language]
        limits = self._bounds.inside(seconds, interpreter)
        words = (*interpreter.options, *program.options, program.entry, *program.arguments)
        argv = [str(interpreter.program), *words]
        request = frames.packed(program, argv, ENVIRONMENT, limits)
        look.bounds = replace(self._bounds, seconds=seconds)
        cell = await self._cell(interpreter)
        watching = asyncio.create_task(cell.watch(look.over))
        answer = b""
        try:
            async with asyncio.timeout(seconds + GRACE):
                answer = await cell.ask(request, frames.longest(limits))
                complaint = "" if answer else await cell.complaint()
                if cell.first is None or complaint.startswith("bwrap:"):
                    raise _unusable(complaint)
        except TimeoutError:
            look.verdict = look.verdict or Ended.TIME
        finally:
            cell.kill()
            watching.cancel()
            await cell.end()
        if look.verdict is not None:
            return Ran(look.verdict, seconds=seconds if look.verdict is Ended.TIME else 0.0)
        return frames.unpacked(answer) or Ran(Ended.BROKEN)

    async def _cell(self, interpreter: Interpreter) -> Cell:
        """Start a sandbox in which our own program waits for a request."""
        python = self._interpreters["python"]
        prefixes = {it.prefix for it in (python, interpreter) if it.prefix is not None}
        bwrap = _program("bwrap")
        setpriv = _program("setpriv") if os.geteuid() == 0 else None
        inside = [str(python.program), "-I", "-S", "-B", "-c", selftest.source("inside")]
        filtering, info = _filter(), os.pipe()
        try:
            fds = Fds(filtering, info[1])
            argv = [*command(bwrap, setpriv, prefixes, self._bounds, fds), *inside]
            async with asyncio.timeout(STARTS_WITHIN):
                return await Cell.start(argv, (filtering, info[1]), info)
        except TimeoutError:
            raise _unusable(f"it took longer than {STARTS_WITHIN:g} s") from None
        finally:
            os.close(filtering)


class _Look:
    """What is seen of a run from outside.

    Attributes:
        verdict: Why it was killed, if it was.
        saw_files: Whether its files could be counted at least once.
    """

    def __init__(self) -> None:
        self.bounds = Bounds()
        self.verdict: Ended | None = None
        self.saw_files = False

    def over(self, first: int) -> bool:
        """Look once, and tell whether it uses more than it may."""
        use, bounds = use_of(first, FOLDERS), self.bounds
        self.saw_files |= use.files is not None
        kinds: Mapping[Ended, bool] = {
            Ended.MEMORY: use.memory > bounds.memory,
            Ended.TIME: use.cpu > bounds.seconds,
            Ended.FILES: (use.files or 0) > bounds.inodes,
        }
        found = next((kind for kind, over in kinds.items() if over), None)
        self.verdict = self.verdict or found
        return found is not None


def _unusable(why: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"bubblewrap cannot build a sandbox on this machine, so no code is run: {why}"
    )


def _program(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        remedy = INSTALL if name == "bwrap" else "install util-linux, or do not run as root"
        raise SandboxUnavailable(
            f"Code is run in a sandbox only, and there is no {name!r}: {remedy}."
        )
    return Path(found)


def _filter() -> int:
    """Return a descriptor of the filter of system calls, to be closed by the caller."""
    machine = MACHINES.get(platform.machine())
    if machine is None:
        raise SandboxUnavailable(
            f"There is no filter of system calls for {platform.machine()!r}, so no code is run."
        )
    fd = os.memfd_create("seccomp")
    os.write(fd, compiled(machine))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
