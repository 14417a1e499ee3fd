"""What agents and tools may ask of whoever runs code that nobody trusts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Ended(StrEnum):
    """How a run came to its end."""

    EXITED = "exited"
    """By itself; the exit code tells more."""
    TIME = "time"
    """It took too long, by the clock or in CPU time."""
    MEMORY = "memory"
    OUTPUT = "output"
    """It wrote more than is kept."""
    FILES = "files"
    """It made more files than it may."""
    BROKEN = "broken"
    """It ended its own sandbox; what it wrote is lost."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program and what it is given.

    Attributes:
        language: One of the sandbox's `languages`.
        entry: The file to run, one of `files`.
        files: By relative path, with `/` between folders.
        options: For the interpreter, before the entry, such as `("-m", "unittest")`.
        arguments: For the program.
    """

    language: str
    entry: str
    files: Mapping[str, bytes]
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    stdin: bytes = b""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a run. All of it is what the program says: trust none of it.

    Attributes:
        exit_code: None where it did not exit; negative for the signal that ended it.
        files: What it made or changed in its folder, by relative path.
        left_out: Files that were too many or too large to be given back.
        seconds: By the clock.
    """

    ended: Ended
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    left_out: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it exited with 0."""
        return self.ended is Ended.EXITED and self.exit_code == 0


class Sandbox(Protocol):
    """Runs programs apart from everything: no network, no files but their own, bounded."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the languages whose interpreters are here."""

    async def check(self) -> str:
        """Try, unless it was tried before, whether it holds, and return a short line about it.

        Raises:
            SandboxUnavailable: Nothing here can run code safely; the message says what would.
        """

    async def run(self, program: Program, timeout: float) -> Ran:
        """Run a program, at most `timeout` seconds and no longer than the settings allow.

        Cancelling ends every process of it before this returns.

        Raises:
            SandboxUnavailable: Nothing here can run code safely; the message says what would.
            InvalidParameters: The program is not one that can be run.
            QueueFull: Too many wait already.
        """
