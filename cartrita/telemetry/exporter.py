"""Serves the metrics of a node to Prometheus, from whichever of its processes is there."""

import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from socketserver import TCPServer
from typing import IO, Any

from cartrita.clock import Clock
from cartrita.telemetry.log import get_logger
from cartrita.telemetry.metrics import CONTENT_TYPE, exposition

log = get_logger(__name__)

PATH = "/metrics"

MOMENT = 1.0
"""Seconds for which one reading serves all who ask."""

PATIENCE = 5.0
"""Seconds that a reader may take over its request, or over our answer."""

WAITING = 16
"""Readers that may wait while another is answered; one is at a time."""

_LOCK = "exporter.lock"
_REFUSAL = b"HTTP/1.0 403 Forbidden\r\nContent-Length: 0\r\n\r\n"

Network = IPv4Network | IPv6Network


class Exporter:
    """Serves a node's metrics, unless another process of the node does.

    All processes of a node have one of these. Who holds the lock in their common folder serves;
    when it dies, the kernel gives the lock back, and the next one that tries has it.

    Args:
        folder: What the node's processes share.
        host: Where to listen.
        port: Where to listen; 0 picks a free one.
        readers: Addresses and networks that are answered.
    """

    def __init__(
        self, folder: Path, host: str, port: int, readers: Sequence[str], clock: Clock
    ) -> None:
        self._folder, self._place, self._clock = folder, (host, port), clock
        self._readers = [ip_network(reader, strict=False) for reader in readers]
        self._lock: IO[str] | None = None
        self._server: _Server | None = None
        self._troubled = False

    def hold(self) -> str | None:
        """Serve from now on, if nobody else does; return where, or None."""
        if self._server is None and self._first():
            try:
                self._begin()
            except OSError as error:
                self.close()
                if not self._troubled:  # once, not at each try
                    log.warning("metrics_not_served", place=self._place, error=repr(error))
                self._troubled = True
        return self._server.address if self._server else None

    def _first(self) -> bool:
        file = (self._folder / _LOCK).open("a")
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except OSError:
            file.close()
            return False
        self._lock = file
        return True

    def _begin(self) -> None:
        server = self._server = _Server(self._place, self._readers, self._folder, self._clock)
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        log.info("metrics_served", at=server.address)

    def close(self) -> None:
        """Serve no more; another process may."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        if self._lock:
            self._lock.close()
        self._server = self._lock = None


class _Server(TCPServer):
    """Answers one reader after the other."""

    allow_reuse_address = True
    request_queue_size = WAITING

    def __init__(
        self, place: tuple[str, int], readers: Sequence[Network], folder: Path, clock: Clock
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        self._readers, self._folder, self._clock = readers, folder, clock
        self._read: tuple[float, bytes] | None = None
        super().__init__(place, _Handler)

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def body(self) -> bytes:
        """Return the metrics of now."""
        now = self._clock.monotonic()
        if self._read is None or now >= self._read[0] + MOMENT:
            self._read = now, exposition(self._folder)
        return self._read[1]

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse whoever may not read."""
        request.settimeout(PATIENCE)
        address = ip_address(client_address[0])
        plain = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        if any((plain or address) in network for network in self._readers):
            return True
        with suppress(OSError):
            request.sendall(_REFUSAL)
        return False

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Note it: a reader that fails is no reason to end."""
        log.debug("metrics_not_read", reader=client_address[0], error=repr(sys.exc_info()[1]))


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _Server
    timeout = PATIENCE

    def do_GET(self) -> None:
        """Send the metrics."""
        if self.path.partition("?")[0] != PATH:
            self.send_error(404)
            return
        body = self.server.body()
        self.send_response(200)
        self.send_header("content-type", CONTENT_TYPE)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep still: one line for each scrape would be noise."""
