"""Runs a program as "nobody" where only root is.

PostgreSQL refuses to run as root. In a user namespace that maps the uid 65534 to us it sees
an ordinary user, while its files stay ours with mode 0700: no account is added, nothing is
given away, no mode of a parent directory is touched.

The file needs the standard library only and runs by its path, so that a threaded process can
use it without forking itself: `python -I -S namespace.py program arguments…`.
"""

import ctypes
import os
import sys

_CLONE_NEWUSER = 0x10000000
NOBODY = 65534

REFUSED = (
    "PostgreSQL does not run as root, and this system refuses the user namespace that would "
    "help ({reason}). Run Cartrita as an ordinary user, or name an outside server in "
    "CARTRITA_POSTGRES__URL."
)


def needed() -> bool:
    """Tell whether this process is root."""
    return os.geteuid() == 0


def enter() -> None:
    """Make this single-threaded process "nobody" of a new user namespace.

    Raises:
        PermissionError: The system refuses; the text says what to do.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        _unshare()
        # A gid may be mapped without privilege only once setgroups is off: user_namespaces(7).
        _write("setgroups", "deny")
        _write("uid_map", f"{NOBODY} {uid} 1")
        _write("gid_map", f"{NOBODY} {gid} 1")
    except OSError as error:
        raise PermissionError(REFUSED.format(reason=error.strerror)) from error


def _unshare() -> None:
    if not sys.platform.startswith("linux"):
        raise OSError(0, f"{sys.platform} has none")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _write(name: str, text: str) -> None:
    with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib triples the start-up
        file.write(text)


if __name__ == "__main__":
    try:
        enter()
    except PermissionError as refused:
        sys.exit(str(refused))
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell is the point
