"""Where a channel server listens: `unix:/path` or `tcp:host:port`."""

from dataclasses import dataclass
from pathlib import Path

from cartrita.errors import ConfigurationInvalid

UNIX_PATH_MAX = 107
"""Bytes the kernel keeps of a socket's path (`sun_path`, less its end)."""


@dataclass(frozen=True, slots=True)
class Address:
    """Either `path` is set or `host` and `port`. Port 0 asks for any free one."""

    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address.

        Raises:
            ConfigurationInvalid: It has neither form, or the path is too long.
        """
        scheme, _, rest = text.partition(":")
        if scheme == "unix" and rest:
            return cls.unix(Path(rest))
        host, _, port = rest.rpartition(":")
        if scheme == "tcp" and host and port.isdecimal():
            return cls(host=host.strip("[]"), port=int(port))
        raise ConfigurationInvalid(f"{text!r} is neither unix:/path nor tcp:host:port.")

    @classmethod
    def unix(cls, path: Path) -> "Address":
        """Return the address of a Unix socket."""
        if len(str(path).encode()) > UNIX_PATH_MAX:
            raise ConfigurationInvalid(
                f"The socket path {str(path)!r} is over {UNIX_PATH_MAX} bytes: "
                "choose a shorter folder."
            )
        return cls(path=str(path))

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"tcp:{self.host}:{self.port}"
