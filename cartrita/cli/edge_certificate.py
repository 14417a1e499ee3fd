"""The certificate of the public ports: where it comes from, and when it changes."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cartrita.auth.certificates import (
    CA,
    CERT,
    KEY,
    LOOPBACK,
    Node,
    issue,
    make_authority,
    node_in,
    open_authority,
)
from cartrita.cli.edge_orders import change_certificate
from cartrita.cli.machine import this_machine
from cartrita.clock import Clock
from cartrita.config.settings import Settings
from cartrita.errors import CartritaError, ConfigurationInvalid
from cartrita.instance import Paths, replace_file

DAYS = 90
RENEW_BEFORE = timedelta(days=30)
_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared only


def authority_of(paths: Paths) -> Path:
    """Return the file of whom clients of a self-made certificate trust."""
    return paths.home / "tls" / CA


@dataclass(slots=True)
class EdgeCertificate:
    """What the edge shows its clients: the files that the settings name, or files of our own.

    Args:
        settings: What they say of the public ports.
        names: By which this machine is called, beside those of the settings.
        say: Told what an operator should know.
    """

    settings: Settings
    paths: Paths
    clock: Clock
    say: Callable[[str], None]
    names: Callable[[], list[str]] = this_machine
    _shown: str = field(default="", init=False)
    _refused: str = field(default="", init=False)

    def prepare(self) -> Path | None:
        """Write chain and key in one file, as HAProxy wants them; None without TLS.

        Raises:
            ConfigurationInvalid: There are no such files, or the key is another's.
        """
        if not self.settings.server.secure:
            return None
        self._shown = self._whole()
        replace_file(self._file, self._shown)
        return self._file

    async def refresh(self, admin: Path) -> bool:
        """Give a certificate that has changed to the running edge; True when it took one.

        Connections stay. What cannot be used is told once, and the old one stays in use.
        """
        if not self.settings.server.secure:
            return False
        try:
            whole = self._whole()
            if whole == self._shown:
                return False
            replace_file(self._file, whole)  # for an edge that starts anew
            await change_certificate(admin, self._file, whole)
        except CartritaError as error:
            if error.message != self._refused:
                self._refused = error.message
                self.say(f"The new certificate is not in use: {error.message}")
            return False
        self._shown, self._refused = whole, ""
        return True

    @property
    def _file(self) -> Path:
        return self.paths.runtime / "edge.pem"

    def _whole(self) -> str:
        chain, key = self._files()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password="")
            return _dense(chain.read_text()) + _dense(key.read_text())
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            raise ConfigurationInvalid(
                f"{str(chain)!r} and {str(key)!r} are no certificate with its key, which "
                f"server.tls_certificate and server.tls_key name: {error}."
            ) from None

    def _files(self) -> tuple[Path, Path]:
        server = self.settings.server
        if server.tls_certificate and server.tls_key:
            return server.tls_certificate, server.tls_key
        folder = self._own().folder
        return folder / CERT, folder / KEY

    def _own(self) -> Node:
        """Return the self-made files, new ones where those are old or lack a name."""
        folder, server = authority_of(self.paths).parent, self.settings.server
        named = [] if server.host in _ANYWHERE else [server.host]
        names = tuple(dict.fromkeys([*LOOPBACK, *named, *self.names(), *server.tls_names]))
        now = datetime.fromtimestamp(self.clock.now(), UTC)
        there = node_in(folder / LOOPBACK[0])
        if there and set(names) <= set(there.names) and there.expires - now > RENEW_BEFORE:
            return there
        known = (folder / CA).exists()
        authority = open_authority(folder) if known else make_authority(folder, self.clock)
        return issue(authority, folder, names, DAYS, self.clock)


def _dense(pem: str) -> str:
    """Return a PEM without empty lines, of which one ends HAProxy's command."""
    return "".join(f"{line}\n" for line in pem.splitlines() if line.strip())
