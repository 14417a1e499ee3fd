"""What a batch that is interrupted goes on from."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from pydantic import Field, ValidationError

from cartrita.errors import ConfigurationInvalid
from cartrita.protocol.wire import WireModel

SAVE_EVERY = 0.5
"""Seconds between two writes of the state: what ended since is asked for again."""


class State(WireModel):
    """How far a batch is.

    Attributes:
        batch: A UUID from which the ids of its tasks follow.
        url: Of the server that has them.
        low: All lines up to this one are done with,
        digest: which have this digest,
        beyond: and these.
        output: The file of the results, if they have one,
        written: and its length.
    """

    version: Literal[1] = 1
    batch: str
    url: str
    low: int = 0
    digest: str = Field(default="", pattern="^[0-9a-f]*$")
    beyond: list[int] = Field(default_factory=list)
    output: str | None = None
    written: int = 0
    completed: int = 0
    failed: int = 0
    refused: int = 0
    finished: bool = False


class StateFile:
    """A batch's state on disk, where a crash leaves the old one or the new.

    Args:
        path: None keeps it nowhere.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._next = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs of the same batch away.

        Raises:
            ConfigurationInvalid: There is one, or the file cannot be made.
        """
        if self.path is None:
            yield
            return
        lock = self.path.with_name(f"{self.path.name}.lock")
        with self._opened(lock) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationInvalid(
                    f"Another run holds {str(lock)!r}: wait for it, or end it."
                ) from None
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)

    def _opened(self, lock: Path) -> IO[bytes]:
        try:
            return lock.open("ab")
        except OSError as error:
            raise ConfigurationInvalid(
                f"The state of the batch cannot be kept in {str(self.path)!r} "
                f"({error.strerror}): name another file with --resume."
            ) from None

    def read(self) -> State | None:
        """Return the state that an earlier run left.

        Raises:
            ConfigurationInvalid: There is a file, which is none.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            return State.model_validate_json(self.path.read_bytes())
        except (OSError, ValidationError):
            raise ConfigurationInvalid(
                f"{str(self.path)!r} is no state of a batch: remove it, or name another file "
                "with --resume."
            ) from None

    @property
    def due(self) -> bool:
        """Whether it is time to write it again."""
        return self.path is not None and time.monotonic() >= self._next

    def write(self, state: State) -> None:
        """Write it, on the disk itself."""
        if self.path is None:
            return
        draft = self.path.with_name(f"{self.path.name}.new")
        with draft.open("w") as file:
            file.write(json.dumps(state.to_wire()))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        self._next = time.monotonic() + SAVE_EVERY

    def remove(self) -> None:
        """Leave nothing to go on from."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
