"""The certificate of a gRPC port, read again when its file changes."""

from pathlib import Path
from typing import Any

import grpc

from cartrita.telemetry.log import get_logger

log = get_logger(__name__)


def credentials_of(certificate: Path, key: Path) -> Any:
    """Return credentials for which each new connection looks at the files.

    gRPC keeps the pair it has where the new one cannot be read.

    Raises:
        OSError: They cannot be read now.
    """
    pair = _Pair(certificate, key)
    return grpc.dynamic_ssl_server_credentials(
        pair.read(), pair.changed, require_client_authentication=False
    )


class _Pair:
    """The two files, and what they held last."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (key, certificate)
        self._last: tuple[int, ...] = ()

    def read(self) -> Any:
        """Return what gRPC is configured with."""
        self._last = self._stamp()
        key, certificate = (file.read_bytes() for file in self._files)
        return grpc.ssl_server_certificate_configuration([(key, certificate)])

    def changed(self) -> Any:
        """Return a new configuration; None where the files are as they were (gRPC calls this)."""
        try:
            return None if self._stamp() == self._last else self.read()
        except OSError as error:
            log.warning("certificate_unreadable", error=str(error))
            return None

    def _stamp(self) -> tuple[int, ...]:
        return tuple(file.stat().st_mtime_ns for file in self._files)
