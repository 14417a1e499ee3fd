"""Finds out whether an instance may be broken by us, and starts it again after a power cut."""

import asyncio
import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from cartrita.errors import ConfigurationInvalid, ServiceUnavailable
from cartrita.instance import InstanceState, Paths, running

START_TIMEOUT = 300.0
_LOOK_AGAIN = 0.2


def breakable(paths: Paths, state: InstanceState) -> psutil.Process:
    """Return the owner of an instance that is ours to break.

    Raises:
        ConfigurationInvalid: It is another user's, or not what its home says.
        ServiceUnavailable: It is not ready.
    """
    try:
        owner = psutil.Process(state.pid)
        ours = owner.uids().real == os.getuid()
        holds = ours and any(Path(file.path) == paths.lock for file in owner.open_files())
    except psutil.Error:
        ours, holds = True, False
    if not ours:
        raise ConfigurationInvalid(
            f"The instance in {str(paths.home)!r} runs as another user, so its processes are not "
            "yours to kill: run this as the user who started it."
        )
    if not holds:
        raise ConfigurationInvalid(
            f"Process {state.pid} is not the owner of the instance in {str(paths.home)!r}, though "
            "its file says so: wait until it is up, or start it again."
        )
    if not state.ready:
        raise ServiceUnavailable(
            f"The instance in {str(paths.home)!r} is still starting: try again when "
            "`cartrita status` says that it is healthy."
        )
    return owner


@contextmanager
def alone(paths: Paths) -> Iterator[None]:
    """Keep other runs off an instance.

    Raises:
        ConfigurationInvalid: One is under way.
    """
    with (paths.home / "chaos.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationInvalid(
                f"Another chaos run is under way on the instance in {str(paths.home)!r}: wait for "
                "its end."
            ) from None
        yield


@dataclass(frozen=True, slots=True)
class Life:
    """How an owner was started, so that it can be started just so again."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    cwd: str

    @classmethod
    def of(cls, owner: psutil.Process) -> "Life":
        """Look at an owner that runs."""
        return cls(owner.cmdline(), owner.environ(), owner.cwd())

    async def again(self, paths: Paths) -> "subprocess.Popen[bytes]":
        """Start the instance, in the background, and wait until it is ready; returns the owner.

        Raises:
            ServiceUnavailable: It ended, or was not ready in time.
        """
        with (paths.logs / "owner.log").open("ab") as log:
            owner = subprocess.Popen(  # noqa: S603, ASYNC220 - what ran before; it takes no time
                self.argv,
                env=self.environment,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        loop = asyncio.get_running_loop()
        limit = loop.time() + START_TIMEOUT
        while loop.time() < limit and owner.poll() is None:
            state = await asyncio.to_thread(running, paths)
            if state is not None and state.pid == owner.pid and state.ready:
                return owner
            await asyncio.sleep(_LOOK_AGAIN)
        raise ServiceUnavailable(
            f"It did not come back after the power cut; see {str(paths.logs / 'owner.log')!r}."
        )
