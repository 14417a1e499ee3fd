"""Turns a fork of the keeper into a service."""

import contextlib
import ctypes
import os
import signal
import sys
from typing import NoReturn

from cartrita.storage.embedded import namespace
from cartrita.storage.embedded.service import ServiceSpec

# Every process of a service inherits it, and so can be found after its parent's death.
MARK = "CARTRITA_SERVICE"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOG_TURNS_AT = 16 * 1024 * 1024


def spawn(spec: ServiceSpec) -> int:
    """Start the service in a session of its own and return its pid.

    PDEATHSIG follows the thread that forks, so call it from the keeper's only thread.

    Raises:
        ChildProcessError: It could not be started; the text says why.
    """
    keeper = os.getpid()
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(spec, keeper, tell)
    os.close(tell)
    with open(told, "rb") as pipe:  # noqa: PTH123 - a descriptor has no path
        trouble = pipe.read()  # ends empty when exec closes the other end
    if trouble:
        os.waitpid(pid, 0)
        raise ChildProcessError(trouble.decode())
    return pid


def adopt_orphans() -> None:
    """Make this process the new parent of descendants whose parents die (Linux)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _become(spec: ServiceSpec, keeper: int, tell: int) -> NoReturn:
    try:
        os.setsid()
        _open_streams(spec.log_path)
        _reset_signals()
        if spec.user_namespace:
            namespace.enter()
        # After the namespace, because a change of credentials clears it.
        _prctl(_PR_SET_PDEATHSIG, signal.Signals[spec.death_signal])
        if os.getppid() != keeper:
            os._exit(0)
        os.chdir(spec.cwd)
        env = {**(spec.env or {}), MARK: spec.name}
        os.execve(spec.argv[0], spec.argv, env)  # noqa: S606 - no shell is the point
    except BaseException as error:  # noqa: BLE001 - a fork must never return into the keeper
        with contextlib.suppress(OSError):
            os.write(tell, str(error).encode())
    os._exit(127)


def _open_streams(log_path: str) -> None:
    with contextlib.suppress(OSError):
        if os.stat(log_path).st_size > _LOG_TURNS_AT:  # noqa: PTH116 - pathlib triples the start-up
            os.replace(log_path, f"{log_path}.1")  # noqa: PTH105 - as above
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(name, signal.SIG_DFL)


def _prctl(option: int, value: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
