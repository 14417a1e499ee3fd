"""Says to bubblewrap what a sandbox is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cartrita.providers.sandbox.inside import HOME
from cartrita.providers.sandbox.interpreters import SYSTEM, Interpreter

NOBODY = 65534
INSIDE = 1000
"""User and group that a program finds itself to be."""

TEMPORARY, SHARED = "/tmp", "/dev/shm"  # noqa: S108 - in the sandbox
FOLDERS = (HOME, TEMPORARY, SHARED)
"""All that can be written; each is in memory, with a bound, and gone afterwards."""

DEVICES = ("null", "zero", "full", "random", "urandom")
LINKS = ("bin", "lib", "lib32", "lib64", "sbin")
ETC = ("/etc/ld.so.cache", "/etc/alternatives")
MB = 1 << 20

ENVIRONMENT = {
    "HOME": HOME,
    "LANG": "C.UTF-8",
    "MALLOC_ARENA_MAX": "2",  # each arena would take 64 MB of the bounded address space
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "TMPDIR": TEMPORARY,
    "TZ": "UTC",
}
"""All that a program finds in its environment."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a run may use.

    Attributes:
        seconds: By the clock, and of CPU time.
        memory: Bytes of all its processes together; what they write to files comes on top.
        disk: Bytes in its folder, and as many in its temporary folder.
        processes: And threads, at once.
        output: Bytes of its output, and as many of its errors.
        returned: Bytes of all files that are given back.
    """

    seconds: float = 10.0
    memory: int = 512 * MB
    disk: int = 32 * MB
    processes: int = 64
    output: int = 256 << 10
    returned: int = 4 * MB
    returned_files: int = 64
    inodes: int = 10_000

    def inside(self, seconds: float, interpreter: Interpreter) -> dict[str, object]:
        """Return the limits that are kept in the sandbox, as `inside.py` reads them."""
        space = self.memory if interpreter.bounded_space else None
        kernel = {
            "RLIMIT_AS": space,
            "RLIMIT_DATA": self.memory,
            "RLIMIT_CPU": max(1, round(seconds)),
            "RLIMIT_FSIZE": self.disk,
            "RLIMIT_NPROC": self.processes,
            "RLIMIT_NOFILE": 256,
            "RLIMIT_CORE": 0,
            "RLIMIT_MEMLOCK": 64 << 10,
            "RLIMIT_MSGQUEUE": 0,
        }
        return {
            "wall": seconds,
            "output": self.output,
            "returned": self.returned,
            "files": self.returned_files,
            "kernel": {name: value for name, value in kernel.items() if value is not None},
        }


def command(
    bwrap: Path,
    setpriv: Path | None,
    prefixes: Iterable[Path],
    bounds: Bounds,
    fds: "Fds",
) -> list[str]:
    """Return the command that builds the walls; what runs inside is to be appended.

    Args:
        bwrap: The program.
        setpriv: What gives up root's rights, for which the kernel counts no processes.
        prefixes: Folders that must be visible beside the system's.
        bounds: Of the run.
        fds: What it inherits.
    """
    return [
        *_as_nobody(setpriv),
        *(str(bwrap), "--unshare-all", "--unshare-user", "--disable-userns"),
        *("--uid", str(INSIDE), "--gid", str(INSIDE), "--hostname", "sandbox"),
        *("--new-session", "--die-with-parent", "--cap-drop", "ALL", "--clearenv"),
        *("--ro-bind", str(SYSTEM), str(SYSTEM)),
        *_links(),
        *(word for path in ETC for word in ("--ro-bind-try", path, path)),
        *(word for path in prefixes for word in ("--ro-bind", str(path), str(path))),
        *("--proc", "/proc"),
        *(word for name in DEVICES for word in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")),
        *("--symlink", "/proc/self/fd", "/dev/fd"),
        *(word for path in FOLDERS for word in _writable(path, bounds.disk)),
        *("--remount-ro", "/", "--chdir", HOME),
        *("--seccomp", str(fds.seccomp), "--info-fd", str(fds.info), "--"),
    ]


@dataclass(frozen=True, slots=True)
class Fds:
    """What bubblewrap inherits: the filter of system calls, and a pipe to tell us by."""

    seccomp: int
    info: int


def _as_nobody(setpriv: Path | None) -> Iterator[str]:
    if setpriv is not None:
        yield from (str(setpriv), "--reuid", str(NOBODY), "--regid", str(NOBODY))
        yield from ("--clear-groups", "--no-new-privs", "--inh-caps=-all", "--")


def _links() -> Iterator[str]:
    """Show the system's folders outside /usr as they are: as links into it, or by themselves."""
    for name in LINKS:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))


def _writable(path: str, size: int) -> tuple[str, ...]:
    return ("--perms", "0700", "--size", str(size), "--tmpfs", path)
