"""Runs one program inside the sandbox: bounds it, reads what it says, gathers its files.

The sandbox's interpreter gets this file as text, so it imports only the standard library and
keeps to what Python 3.9 has. The program it runs is its equal there and may kill it; then there
is no answer, and whoever waits outside has a clock of its own.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import stat
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any

HOME = "/box"
CHUNK = 65536
SECOND = 2
"""Our number in a sandbox: bubblewrap is the first process of its own."""

DEEPEST = 8
"""Folders within folders that are looked into for files."""

TRIES = 400
"""Times that everybody is killed, 5 ms apart, until nobody is left."""

Said = dict[int, bytearray]
"""What came out of each end of a pipe."""


def main() -> None:
    """Read a request, run it, and answer."""
    if os.getpid() != SECOND:
        os._exit(4)  # these are not our own processes: killing all of them would be a disaster
    request = json.loads(_exactly(struct.unpack(">I", _exactly(4))[0]))
    given = {path: _exactly(size) for path, size in request["files"]}
    stdin = _exactly(request["stdin"])
    for path, data in given.items():
        place = os.path.join(HOME, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(data)
    began = time.monotonic()
    ended, code, output = _run(request, stdin, began + request["limits"]["wall"])
    seconds = time.monotonic() - began
    _kill_everybody()
    files, left_out = _gather(given, request["limits"])
    header = {
        "ended": ended,
        "code": code,
        "seconds": seconds,
        "sizes": [len(text) for text in output],
        "files": [[path, len(data)] for path, data in files],
        "left_out": left_out,
    }
    body = json.dumps(header).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(body)) + body + b"".join(output))
    sys.stdout.buffer.write(b"".join(data for _, data in files))
    sys.stdout.buffer.flush()
    os._exit(0)


def _exactly(size: int) -> bytes:
    data = sys.stdin.buffer.read(size)
    if len(data) < size:
        os._exit(3)
    return data


def _run(
    request: dict[str, Any], stdin: bytes, deadline: float
) -> tuple[str, int | None, list[bytes]]:
    """Return how a program ended, its exit code, and what it said."""
    most = request["limits"]["output"]
    feed, out, err = os.pipe(), os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        _become(request, (feed[0], out[1], err[1]))
    for mine in (feed[0], out[1], err[1]):
        os.close(mine)
    os.set_blocking(feed[1], False)
    said = {out[0]: bytearray(), err[0]: bytearray()}
    ended = _listen(said, os.pidfd_open(child), _Feed(feed[1], stdin), deadline, most)
    if ended != "exited":
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    _kill_everybody()
    if ended == "exited":
        ended = _drain(said, most)
    if ended == "exited" and code == -signal.SIGXCPU:
        ended = "time"
    texts = [bytes(text[:most]) for text in said.values()]
    return ended, code if ended == "exited" else None, texts


def _become(request: dict[str, Any], files: tuple[int, ...]) -> None:
    """Turn into the program; runs in the child."""
    try:
        os.setsid()
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(3, 256)
        for name, value in request["limits"]["kernel"].items():
            kind = getattr(resource, name, None)
            if kind is not None:
                resource.setrlimit(kind, (value, value))
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execve(request["argv"][0], request["argv"], request["env"])  # noqa: S606 - that is it
    finally:
        os._exit(127)


class _Feed:
    """The standard input of a program, written as it is read."""

    def __init__(self, fd: int, data: bytes) -> None:
        self.fd, self._left = fd, memoryview(data)
        self._close_if_empty()

    @property
    def sinks(self) -> list[int]:
        return [self.fd] if self._left else []

    def write(self) -> None:
        try:
            self._left = self._left[os.write(self.fd, self._left[:CHUNK]) :]
        except OSError:  # nobody reads it
            self._left = self._left[:0]
        self._close_if_empty()

    def _close_if_empty(self) -> None:
        if not self._left:
            os.close(self.fd)


def _listen(said: Said, over: int, feed: _Feed, deadline: float, most: int) -> str:
    """Read and feed until the program ends, says too much, or takes too long."""
    open_ends = set(said)
    while (left := deadline - time.monotonic()) > 0:
        ready, sinks, _ = select.select([over, *open_ends], feed.sinks, [], left)
        for end in open_ends.intersection(ready):
            data = os.read(end, CHUNK)
            said[end] += data
            if not data:
                open_ends.discard(end)
        if any(len(text) > most for text in said.values()):
            return "output"
        if sinks:
            feed.write()
        if over in ready:
            return "exited"
    return "time"


def _drain(said: Said, most: int) -> str:
    """Read what is left in the pipes, whose writers are dead."""
    for end, text in said.items():
        while len(text) <= most and (data := os.read(end, CHUNK)):
            text.extend(data)
    return "output" if any(len(text) > most for text in said.values()) else "exited"


def _kill_everybody() -> None:
    """Kill all there is but ourselves and the first process, which nobody can."""
    for _ in range(TRIES):
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.005)


def _gather(given: dict[str, bytes], limits: dict[str, Any]) -> tuple[list[tuple[str, bytes]], int]:
    """Return the files that are new or changed, and how many are left out."""
    found: list[tuple[str, bytes]] = []
    left_out, room = 0, limits["returned"]
    for path in _regular_files(HOME, DEEPEST):
        name = os.path.relpath(path, HOME)
        data = _read(path, max(room, len(given.get(name, b""))))
        if data is not None and given.get(name) == data:
            continue
        if data is None or len(data) > room or len(found) >= limits["files"] or not _text(name):
            left_out += 1
            continue
        found.append((name, data))
        room -= len(data)
    return found, left_out


def _regular_files(folder: str, deep: int) -> Iterator[str]:
    """Return what is neither link nor device nor pipe."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        kind = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISREG(kind):
            yield entry.path
        elif stat.S_ISDIR(kind) and deep and entry.name != "__pycache__":
            yield from _regular_files(entry.path, deep - 1)


def _read(path: str, most: int) -> bytes | None:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            data = file.read(most + 1)
    except OSError:
        return None
    return data if len(data) <= most else None


def _text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


if __name__ == "__main__":
    main()
