"""Counts what the processes of one sandbox use together; the kernel bounds each alone."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_MEMORY = ("RssAnon:", "RssShmem:", "VmSwap:")


@dataclass(frozen=True, slots=True)
class Use:
    """What is in use.

    Attributes:
        memory: Bytes; what processes share since a fork counts for each of them.
        cpu: Seconds, of those that ended, too.
        processes: With threads.
        files: Inodes of the folders it can write to, or None where they cannot be seen.
    """

    memory: int = 0
    cpu: float = 0.0
    processes: int = 0
    files: int | None = None


def use_of(first: int, folders: tuple[str, ...], proc: Path = Path("/proc")) -> Use:
    """Return what a process and all its descendants use.

    Args:
        first: The first process of the sandbox, as the host numbers it.
        folders: Where the sandbox can write, as it names them.
        proc: Where the kernel tells.
    """
    memory = processes = 0
    cpu = 0.0
    for pid in _family(first, proc):
        with suppress(OSError, ValueError, IndexError):  # it may end while we look
            status = _status(proc / str(pid) / "status")
            memory += sum(status.get(name, 0) for name in _MEMORY) * 1024
            processes += status.get("Threads:", 1)
            cpu += _cpu(proc / str(pid) / "stat")
    return Use(memory, cpu, processes, _files(proc / str(first) / "root", folders))


def _family(first: int, proc: Path) -> Iterator[int]:
    waiting = [first]
    while waiting:
        pid = waiting.pop()
        yield pid
        with suppress(OSError):
            for thread in (proc / str(pid) / "task").iterdir():
                with suppress(OSError):
                    waiting += map(int, (thread / "children").read_text().split())


def _status(path: Path) -> dict[str, int]:
    wanted = (*_MEMORY, "Threads:")
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0]: int(words[1]) for words in lines if words and words[0] in wanted}


def _cpu(path: Path) -> float:
    """Return the seconds of a process and of those of its children that it waited for."""
    fields = path.read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def _files(root: Path, folders: tuple[str, ...]) -> int | None:
    try:
        if root.stat().st_dev == Path("/").stat().st_dev:
            return None  # its walls are not built yet
        found = [os.statvfs(root / folder.lstrip("/")) for folder in folders]
    except OSError:
        return None
    return sum(place.f_files - place.f_ffree for place in found)
