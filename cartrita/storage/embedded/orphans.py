"""Finds and ends processes whose parents are gone.

The keeper is a child subreaper: whatever a service started, however it detached itself,
becomes a child of the keeper once its own parents are dead. `/proc` shows them; without it
(macOS) nobody is found, and only the process groups of the services can be ended.
"""

import contextlib
import os
import signal
import time
from collections.abc import Collection

from cartrita.storage.embedded.child import MARK

_LOOK_AGAIN = 0.01
_EXEC_LOOKS = 5
_EXEC_LOOK_AGAIN = 0.002


def descendants(root: int, beside: Collection[int] = ()) -> list[int]:
    """Return the pids of everything below `root`, without those in `beside` and theirs."""
    below: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        if pid not in beside:
            below.setdefault(parent, []).append(pid)
    found = list(below.get(root, ()))
    for pid in found:  # grows while it is walked
        found.extend(below.get(pid, ()))
    return found


def left_by(service: str, program: str, among: list[int]) -> list[int]:
    """Return those pids that belonged to a service that died.

    A process keeps its parent's mark in its environment. PostgreSQL overwrites that memory
    with its process title, so that a process without any mark is known by its program.
    """
    return [pid for pid in among if _belongs(pid, service, program)]


def kill(pids: list[int]) -> None:
    """Send SIGKILL to each; those that are gone, or not ours to kill, are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def kill_group(group: int) -> None:
    """Send SIGKILL to a process group, if there is still one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def reap() -> dict[int, int]:
    """Collect every child that ended; returns exit statuses by pid."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended


def end_all(timeout: float) -> bool:
    """Kill everything below this process until nothing is left; tells whether that came true.

    One pass is not enough: each death may hand over grandchildren that no pass has seen.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        kill(descendants(os.getpid()))
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:  # no child is left, not even a dead one
            return True
        time.sleep(_LOOK_AGAIN)
    return False


def _parents() -> dict[int, int]:
    found: dict[int, int] = {}
    with contextlib.suppress(FileNotFoundError):
        for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib triples the start-up
            if entry.isdigit():
                # The name in brackets may hold anything, even brackets and spaces.
                fields = _read(f"/proc/{entry}/stat").rpartition(b")")[2].split()
                if len(fields) > 1:
                    found[int(entry)] = int(fields[1])
    return found


def _belongs(pid: int, service: str, program: str) -> bool:
    for pair in _environment(pid).split(b"\0"):
        name, _, value = pair.partition(b"=")
        if name == MARK.encode():
            return value == service.encode()
    try:
        return os.path.samefile(f"/proc/{pid}/exe", program)  # noqa: PTH121 - as above
    except OSError:
        return False


def _environment(pid: int) -> bytes:
    """Read a process's environment, which looks empty for a moment while it calls exec."""
    for _ in range(_EXEC_LOOKS):
        if environment := _read(f"/proc/{pid}/environ"):
            return environment
        time.sleep(_EXEC_LOOK_AGAIN)
    return b""


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return file.read()
    except OSError:  # it ended meanwhile, or is not ours to read
        return b""
