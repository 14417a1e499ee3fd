"""Where channel servers listen: `unix:/path`, `tcp:host:port`, or both."""

from dataclasses import dataclass
from pathlib import Path

from cartrita.errors import ConfigurationInvalid

UNIX_PATH_MAX = 107
"""Bytes the kernel keeps of a socket's path (`sun_path`, less its end)."""

PORT_MAX = 65535
_TCP, _NONE = "|tcp:", "-"


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

    Written `unix:/path@NODE|tcp:host:port`, `unix:/path@NODE|tcp:-` where it listens on its
    own node alone, or as a plain `Address` where there are no nodes.

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
        fits = self.local is not None if self.node else not both
        if not (self.local or self.remote) or not fits:
            raise ConfigurationInvalid("A server has one address, or two and a node's name.")
        path = self.local.path if self.local else "-"
        if not path or (self.remote and self.remote.path):
            raise ConfigurationInvalid("Only Unix sockets are local, and only TCP is remote.")
        if _TCP in path or {"@", "|"} & set(self.node):
            raise ConfigurationInvalid(
                f"The path {path!r} or the node {self.node!r} holds a mark of addresses."
            )

    @classmethod
    def parse(cls, text: str) -> "Endpoints":
        """Read what a server published.

        Raises:
            ConfigurationInvalid: It has none of the forms.
        """
        first, marked, rest = text.partition(_TCP)
        if not marked:
            address = Address.parse(text)
            return cls(local=address) if address.path else cls(remote=address)
        socket, _, node = first.rpartition("@")
        if not (socket.startswith("unix:") and node):
            raise ConfigurationInvalid(f"{text!r} is not unix:/path@NODE|tcp:host:port.")
        remote = None if rest == _NONE else Address.parse(f"tcp:{rest}")
        return cls(Address.parse(socket), node, remote)

    def pick(self, node: str) -> Address:
        """Return what a caller on `node` connects to: the Unix socket where that is its own.

        Raises:
            ConfigurationInvalid: The server is on another node and listens there alone.
        """
        here = self.local if node == self.node else None
        address = here or self.remote or (None if self.node else self.local)
        if address is None:
            raise ConfigurationInvalid(
                f"{str(self.local)!r} is on node {self.node!r} and cannot be reached from another: "
                "set channel.tcp (CARTRITA_CHANNEL__TCP=true) for all of them."
            )
        return address

    def __str__(self) -> str:
        if self.local and self.node:
            remote = str(self.remote).removeprefix("tcp:") if self.remote else _NONE
            return f"{self.local}@{self.node}{_TCP}{remote}"
        return str(self.local or self.remote)
