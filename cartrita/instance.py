"""One embedded instance on this machine: where it lives, and whether it runs."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path

from cartrita.config.settings import Settings
from cartrita.errors import ConfigurationInvalid

# Not TMPDIR, which may be long: HAProxy takes 97 bytes of a socket's path, and Serve's own part
# of it has 70.
_SHORT = Path("/tmp")  # noqa: S108 - the folder in it is checked to be ours


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of an instance.

    Attributes:
        home: Everything that outlives a run.
        runtime: Sockets and what only a run needs; private, because some have no password.
    """

    home: Path
    runtime: Path

    @property
    def state(self) -> Path:
        """What `status` and `down` read."""
        return self.home / "instance.json"

    @property
    def services(self) -> Path:
        """The states of the owner's services, for `GET /v3/tree`."""
        return self.runtime / "services.json"

    @property
    def ray_token(self) -> Path:
        """What its Ray asks of those who join it."""
        return self.home / "ray-token"

    @property
    def lock(self) -> Path:
        """Held by the owner for as long as it lives."""
        return self.home / "owner.lock"

    @property
    def logs(self) -> Path:
        """What the services say."""
        return self.home / "logs"


def paths_of(settings: Settings) -> Paths:
    """Return the folders of the instance that the settings name."""
    home = settings.home.expanduser().resolve()
    digest = blake2b(str(home).encode(), digest_size=4).hexdigest()
    return Paths(home, _SHORT / f"ct{os.getuid()}-{digest}")


def make_folders(paths: Paths) -> None:
    """Create the folders, for nobody else's eyes.

    Raises:
        ConfigurationInvalid: The runtime folder is somebody else's.
    """
    for folder in (paths.home, paths.logs):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_private(paths.runtime)


def make_private(folder: Path) -> None:
    """Create a folder that only we may enter.

    Raises:
        ConfigurationInvalid: It is there and somebody else's.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.lstat().st_uid != os.getuid() or folder.is_symlink():
        raise ConfigurationInvalid(f"{str(folder)!r} belongs to somebody else; remove it.")
    folder.chmod(0o700)


@dataclass(frozen=True, slots=True)
class InstanceState:
    """A running instance, as its owner wrote it down.

    Attributes:
        pid: The owner's.
        started_at: Unix seconds.
        urls: `api`, `v2`, `docs`, `dashboard`, and so on.
        ray: The address of its Ray.
        serve: Where its Serve listens, behind the edge.
        ready: Whether tasks are accepted.
    """

    pid: int
    version: str
    started_at: float
    urls: dict[str, str] = field(default_factory=dict)
    ray: str = ""
    serve: str = ""
    ready: bool = False


def write_state(paths: Paths, state: InstanceState) -> None:
    """Write an instance down, for its owner's user only."""
    replace_file(paths.state, json.dumps(asdict(state), indent=1))


def replace_file(path: Path, text: str) -> None:
    """Write a private file so that readers see the old text or the new, never a part."""
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def running(paths: Paths) -> InstanceState | None:
    """Return the instance that runs in a home; None when there is none.

    The lock decides, not the pid: a killed owner's number may be somebody else's by now.

    Raises:
        ConfigurationInvalid: The home is another user's.
    """
    if not _locked(paths.lock):
        return None
    try:
        return InstanceState(**json.loads(paths.state.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _locked(lock: Path) -> bool:
    try:
        with lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except PermissionError:
        raise ConfigurationInvalid(
            f"{str(lock.parent)!r} is another user's: choose a CARTRITA_HOME of your own."
        ) from None
    except BlockingIOError:
        return True
    return False


@contextmanager
def ownership(paths: Paths) -> Iterator[None]:
    """Hold an instance's lock.

    Raises:
        ConfigurationInvalid: It runs already.
    """
    with paths.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            state = running(paths)
            who = f" (pid {state.pid})" if state else ""
            raise ConfigurationInvalid(
                f"An instance with the home {str(paths.home)!r} runs already{who}: stop it with "
                "`cartrita down`, or choose another CARTRITA_HOME and other ports."
            ) from None
        yield
