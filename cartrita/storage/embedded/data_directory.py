"""The files of an embedded PostgreSQL."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from cartrita.errors import ConfigurationInvalid
from cartrita.storage.embedded import namespace
from cartrita.storage.embedded.preconditions import make_private, secret_at, wait_unused
from cartrita.storage.embedded.service import MINIMAL_ENVIRONMENT
from cartrita.storage.program import run_program

VERSION = "16"

_MADE_WITHIN = 120.0
_ADMIN_FILE = "admin.secret"
_ROLE_FILE = "role.secret"


class DataDirectory:
    """A directory with the cluster, its log and its secrets.

    Args:
        root: Where; nothing else may be in it.
        programs: Where `initdb` is.
        admin: The name of the superuser.
    """

    def __init__(self, root: Path, programs: Path, admin: str) -> None:
        self.root = root
        self.cluster = root / "cluster"
        self.log = root / "postgres.log"
        self._programs = programs
        self._admin = admin

    @property
    def admin_secret(self) -> str:
        """The superuser's password."""
        return self._secret(_ADMIN_FILE)

    @property
    def role_secret(self) -> str:
        """The password of the role that Cartrita uses."""
        return self._secret(_ROLE_FILE)

    async def make(self) -> None:
        """Make the cluster unless it is there; an attempt that was cut short starts over.

        Raises:
            ConfigurationInvalid: The directory holds something else, another process is making
                it, or `initdb` failed.
        """
        make_private(self.root.parent)
        with self._locked():
            if (self.cluster / "PG_VERSION").exists():
                self._check_version()
                return
            if self.root.exists() and any(self.root.iterdir()):
                raise ConfigurationInvalid(
                    f"{str(self.root)!r} is no data directory of an embedded PostgreSQL and not "
                    "empty; choose another data directory, or move this one away"
                )
            await self._make()

    async def free(self, timeout: float) -> None:
        """Wait until no server uses the cluster, and remove the lock that a dead one left.

        PostgreSQL would not start when the pid in that file belongs to anybody by now.

        Raises:
            ConfigurationInvalid: A server still uses it.
        """
        await wait_unused(self.cluster, timeout)
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    async def _make(self) -> None:
        draft = self._beside("making")
        if draft.exists():
            await asyncio.to_thread(shutil.rmtree, draft)
        make_private(draft)
        unfinished = DataDirectory(draft, self._programs, self._admin)
        secret_at(draft / _ADMIN_FILE)
        secret_at(draft / _ROLE_FILE)
        await unfinished.run_initdb()
        draft.replace(self.root)
        _sync(self.root.parent)

    async def run_initdb(self) -> None:
        """Fill `cluster`, with checksums, SCRAM, and the superuser's password."""
        # macOS has no C.UTF-8; both sort by code point, and neither needs ICU.
        locale = "C" if sys.platform == "darwin" else "C.UTF-8"
        argv = [
            str(self._programs / "initdb"),
            f"--pgdata={self.cluster}",
            f"--username={self._admin}",
            f"--pwfile={self.root / _ADMIN_FILE}",
            "--auth=scram-sha-256",
            "--data-checksums",
            f"--locale={locale}",
            "--encoding=UTF8",
            "--no-instructions",
        ]
        if namespace.needed():
            argv = [sys.executable, "-I", "-S", namespace.__file__, *argv]
        status, output = await run_program(argv, MINIMAL_ENVIRONMENT, _MADE_WITHIN)
        if status:
            raise ConfigurationInvalid(f"cannot make the database in {str(self.root)!r}: {output}")

    def _check_version(self) -> None:
        found = (self.cluster / "PG_VERSION").read_text().strip()
        if found != VERSION:
            raise ConfigurationInvalid(
                f"{str(self.root)!r} was made by PostgreSQL {found}, and this is {VERSION}; "
                "dump it with the old version, move it away, and load the dump"
            )

    def _secret(self, name: str) -> str:
        try:
            return (self.root / name).read_text().strip()
        except FileNotFoundError as error:
            raise ConfigurationInvalid(
                f"the password {str(self.root / name)!r} is missing; prepare the server first, "
                "or put back the file that belongs to this data directory"
            ) from error

    def _beside(self, what: str) -> Path:
        return self.root.with_name(f".{self.root.name}.{what}")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._beside("lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigurationInvalid(
                    f"another process is making {str(self.root)!r}; wait for it, or choose "
                    "another data directory"
                ) from error
            yield


def _sync(directory: Path) -> None:
    """Make a rename in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
