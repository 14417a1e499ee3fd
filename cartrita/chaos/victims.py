"""The processes of an instance, and the hand that hits them and no other."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import psutil

from cartrita.chaos.plan import Kind

_TITLES = {
    Kind.ORCHESTRATOR: "ray::OrchestratorActor",
    Kind.SUPERVISOR: "ray::SupervisorActor",
    Kind.GATEWAY: "ray::ServeReplica:cartrita:",
    Kind.CONTROLLER: "ray::ServeController",
    Kind.PROXY: "ray::HAProxyManager",
}
"""How Ray titles the processes of its actors."""

_PROGRAMS = {
    Kind.POSTGRES: ("postgres", " -D "),  # its other processes have a title of their own
    Kind.VALKEY: ("valkey-server", ""),
    Kind.EDGE: ("haproxy", "/edge.cfg"),
    Kind.HAPROXY: ("haproxy", "/haproxy.cfg"),
    Kind.GCS: ("gcs_server", ""),
    Kind.RAYLET: ("raylet", ""),
}
"""The program of a kind, and what its command line holds."""


@dataclass(frozen=True, slots=True)
class Row:
    """A process of the instance.

    Attributes:
        program: The name of its file.
        line: Its command line, or the title that it gave itself.
    """

    pid: int
    program: str
    line: str


def candidates(kind: Kind, tree: Mapping[str, Any] | None, rows: Sequence[Row]) -> list[int]:
    """Return the pids of a kind, of which each is certainly the instance's.

    Args:
        kind: What is looked for.
        tree: As `GET /v3/tree` tells it to administrators; None while nobody can tell. It
            knows which workers are up; a worker that still starts is not worth hitting.
        rows: Every process of the instance.
    """
    if kind is Kind.WORKER:
        up = _hosts(tree or {})
        return sorted(row.pid for row in rows if row.pid in up)
    if title := _TITLES.get(kind):
        return sorted(row.pid for row in rows if row.line.startswith(title))
    program, part = _PROGRAMS[kind]
    return sorted(row.pid for row in rows if row.program == program and part in row.line)


def _hosts(tree: Mapping[str, Any]) -> set[int]:
    shards = tree.get("supervisors") or []
    return {host["pid"] for shard in shards for host in shard.get("hosts", ()) if host.get("pid")}


class Processes:
    """What descends from the owner of an instance.

    Whoever is to be hit is looked for among these, and looked at again right before: pids are
    given to others once they are free.
    """

    def __init__(self, owner: int) -> None:
        self._owner = psutil.Process(owner)
        self._paused: list[psutil.Process] = []

    def find(
        self, kind: Kind, tree: Mapping[str, Any] | None, chance: float
    ) -> psutil.Process | None:
        """Return a process of a kind; None when there is none now."""
        below = self._below()
        found = candidates(kind, tree, [row for process in below if (row := _row(process))])
        if not found:
            return None
        pid = found[int(chance * len(found))]
        return next(process for process in below if process.pid == pid)

    def kill(self, process: psutil.Process) -> bool:
        """End a process by SIGKILL; False when it is gone or not the instance's."""
        with suppress(psutil.NoSuchProcess):
            if self._ours(process):
                process.kill()
                return True
        return False

    def pause(self, process: psutil.Process) -> list[psutil.Process]:
        """Stop a process and all below it, if it is the instance's and not stopped yet.

        Returns:
            Whoever was stopped by this.
        """
        stopped: list[psutil.Process] = []
        if process in self._paused:
            return stopped
        with suppress(psutil.NoSuchProcess):
            for one in (process, *process.children(recursive=True)) if self._ours(process) else ():
                one.suspend()
                stopped.append(one)
        self._paused += stopped
        return stopped

    def resume(self, stopped: list[psutil.Process]) -> None:
        """Let those go on that have not ended."""
        for one in stopped:
            self._paused.remove(one)
            with suppress(psutil.NoSuchProcess):
                one.resume()

    def resume_all(self) -> None:
        """Let everything go on."""
        self.resume(list(self._paused))

    def cut(self) -> list[psutil.Process]:
        """End everything at once by SIGKILL, the owner included; returns what there was.

        All are stopped first, or some would start others, or flush, while the rest is ended.
        """
        for process in (self._owner, *self._below()):
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        everything = [self._owner, *self._below()]
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return everything

    def _below(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return self._owner.children(recursive=True)
        return []

    def _ours(self, process: psutil.Process) -> bool:
        """Tell whether a process is still itself, and below an owner that is."""
        return (
            process.is_running() and self._owner.is_running() and self._owner in process.parents()
        )


def _row(process: psutil.Process) -> Row | None:
    with suppress(psutil.Error):
        line = process.cmdline()
        return Row(process.pid, PurePath(process.exe()).name, " ".join(line))
    return None
