"""A session that the commands of one user share."""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from cartrita.client.models import Session
from cartrita.errors import ConfigurationInvalid, ServiceUnavailable
from cartrita.instance import replace_file

LOCK_TIMEOUT = 30.0
_LOOK_AGAIN = 0.05


class FileSessions:
    """Keeps a session in a private file.

    Args:
        path: In a folder that is made when it is needed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Session | None:
        """Return the session; None when there is none or it cannot be read."""
        try:
            return Session.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, session: Session) -> None:
        """Keep a session.

        Raises:
            ConfigurationInvalid: The file cannot be written.
        """
        try:
            self._make_folder()
            replace_file(self._path, json.dumps(session.to_wire()))
        except OSError as error:
            raise self._unwritable(error) from error

    def clear(self) -> None:
        """Remove the file.

        Raises:
            ConfigurationInvalid: It cannot be removed.
        """
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock that whoever renews the session holds.

        Raises:
            ServiceUnavailable: Somebody else holds it for too long.
            ConfigurationInvalid: The lock cannot be made.
        """
        try:
            self._make_folder()
            file = self._path.with_suffix(".lock").open("a")
        except OSError as error:
            raise self._unwritable(error) from error
        with file:
            limit = time.monotonic() + LOCK_TIMEOUT
            while not _locked(file.fileno()):
                if time.monotonic() > limit:
                    raise ServiceUnavailable(
                        f"Another command has held {file.name!r} for {LOCK_TIMEOUT:g} s: end it."
                    )
                time.sleep(_LOOK_AGAIN)
            yield

    def _make_folder(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _unwritable(self, error: OSError) -> ConfigurationInvalid:
        return ConfigurationInvalid(
            f"The session cannot be kept in {str(self._path)!r} ({error.strerror}): choose "
            "another --home, or set CARTRITA_TOKEN."
        )


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
