"""What must hold before a server is started."""

import asyncio
import errno
import os
import secrets
import socket
from importlib.util import find_spec
from pathlib import Path

import psutil

from cartrita.errors import ConfigurationInvalid, MissingExtra

# sun_path holds 108 bytes on Linux and 104 on macOS, a final zero included.
_LONGEST_SOCKET_PATH = 107
_SECRET_BYTES = 32
_LOOK_AGAIN = 0.1


def check_socket_path(path: Path) -> None:
    """Refuse a path that a Unix socket cannot have.

    Raises:
        ConfigurationInvalid: It is longer than 107 bytes.
    """
    length = len(os.fsencode(path))
    if length > _LONGEST_SOCKET_PATH:
        raise ConfigurationInvalid(
            f"the socket path {str(path)!r} has {length} bytes, and a Unix socket allows "
            f"{_LONGEST_SOCKET_PATH}; choose a shorter runtime directory"
        )


def check_port_free(port: int, setting: str) -> None:
    """Refuse a port of the loopback address on which somebody listens.

    Raises:
        ConfigurationInvalid: The port cannot be had; the text names `setting`.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is taken by another program" if taken else f"cannot be used: {error.strerror}"
            raise ConfigurationInvalid(
                f"port {port} of 127.0.0.1 {why}; choose another one with {setting}"
            ) from error


async def wait_unused(directory: Path, timeout: float) -> None:
    """Wait until no process has `directory` as its working directory.

    PostgreSQL and Valkey, with all their processes, stay in the directory of their data, so
    this knows a server from a lock file whose pid was given to something else.

    Raises:
        ConfigurationInvalid: A process is still there.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while users := await asyncio.to_thread(_processes_in, directory):
        if loop.time() > deadline:
            raise ConfigurationInvalid(
                f"process {users[0]} uses {str(directory)!r}; end that instance of Cartrita, or "
                "choose another data directory"
            )
        await asyncio.sleep(_LOOK_AGAIN)


def _processes_in(directory: Path) -> list[int]:
    place = str(directory.resolve())
    return [p.pid for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == place]


def package_directory(package: str, requirement: str) -> Path:
    """Return where a package is installed, without importing it.

    Raises:
        MissingExtra: It is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(
            f"the package {requirement!r} is not installed; run "
            f"'pip install {requirement}' or name an outside server in the settings"
        )
    return Path(spec.submodule_search_locations[0])


def make_private(directory: Path) -> None:
    """Make a directory that only we may enter, unless it is there already."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace a file that only we may read, so that readers see the old text or the new."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def secret_at(path: Path) -> str:
    """Return the secret in a file, which is made with mode 0600 when it is not there."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(_SECRET_BYTES))
    return path.read_text().strip()


def end_of_log(path: Path, lines: int = 8) -> str:
    """Return the last lines of a log, for the text of an error."""
    if not path.exists():
        return "(nothing)"
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - 4096))
        tail = log.read().decode(errors="replace").splitlines()
    return "\n".join(tail[-lines:])
