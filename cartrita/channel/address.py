"""Where channel servers listen: `unix:/path`, `tcp:host:port`, or both."""

from dataclasses import dataclass
from pathlib import Path

from cartrita.errors import ConfigurationInvalid

UNIX_PATH_MAX = 107
"""Bytes the kernel keeps of a socket's path (`sun_path`, less its end)."""

PORT_MAX = 65535
_BOTH = "|tcp:"


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
        host, _, digits = rest.rpartition(":")
        host, port = host.strip("[]"), _port(digits)
        if scheme == "tcp" and host and port is not None:
            return cls(host=host, port=port)
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
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp:{host}:{self.port}"


def _port(digits: str) -> int | None:
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(PORT_MAX))):
        return None
    return int(digits) if int(digits) <= PORT_MAX else None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Everywhere one server listens, as it publishes it.

    Written `unix:/path@NODE|tcp:host:port`, or as a plain `Address` where there is only one.

    Attributes:
        local: The Unix socket.
        node: On which node the Unix socket is; empty where there is only one.
        remote: What other nodes connect to.

    Raises:
        ConfigurationInvalid: There is no address, or both and no node, or `@` or `|` where
            they would be taken for marks.
    """

    local: Address | None = None
    node: str = ""
    remote: Address | None = None

    def __post_init__(self) -> None:
        both = self.local is not None and self.remote is not None
        if not (self.local or self.remote) or both != bool(self.node):
            raise ConfigurationInvalid("A server has one address, or two and a node's name.")
        path = self.local.path if self.local else "-"
        if not path or (self.remote and self.remote.path):
            raise ConfigurationInvalid("Only Unix sockets are local, and only TCP is remote.")
        if _BOTH in path or {"@", "|"} & set(self.node):
            raise ConfigurationInvalid(
                f"The path {path!r} or the node {self.node!r} holds a mark of addresses."
            )

    @classmethod
    def parse(cls, text: str) -> "Endpoints":
        """Read what a server published.

        Raises:
            ConfigurationInvalid: It has none of the forms.
        """
        first, both, rest = text.partition(_BOTH)
        if not both:
            address = Address.parse(text)
            return cls(local=address) if address.path else cls(remote=address)
        socket, _, node = first.rpartition("@")
        if not socket.startswith("unix:"):
            raise ConfigurationInvalid(f"{text!r} is not unix:/path@NODE|tcp:host:port.")
        return cls(Address.parse(socket), node, Address.parse(f"tcp:{rest}"))

    def pick(self, node: str) -> Address:
        """Return what a caller on `node` connects to: the Unix socket where that is its own."""
        here = self.local if node == self.node else None
        address = here or self.remote or self.local
        assert address is not None
        return address

    def __str__(self) -> str:
        if self.local and self.remote:
            return f"{self.local}@{self.node}{_BOTH[0]}{self.remote}"
        return str(self.local or self.remote)
