"""The public ports of an embedded instance."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cartrita.cli.edge_certificate import EdgeCertificate
from cartrita.config.settings import Settings
from cartrita.edge import Edge, haproxy
from cartrita.errors import ServiceUnavailable
from cartrita.instance import Paths, replace_file
from cartrita.storage.embedded.preconditions import check_port_free
from cartrita.storage.embedded.service import ServiceSpec

ANSWER_TIMEOUT = 60.0
_STREAMS = 100
"""Requests at once on one connection of HTTP/2; RFC 9113 advises no fewer."""


@dataclass(frozen=True, slots=True)
class PublicPorts:
    """What the edge of an instance is started with, and how others reach it."""

    settings: Settings
    paths: Paths
    certificate: EdgeCertificate

    @property
    def admin(self) -> Path:
        """Where the running edge takes orders."""
        return self.paths.runtime / "edge.sock"

    def check_free(self) -> None:
        """Refuse ports that somebody has.

        Raises:
            ConfigurationInvalid: One is taken.
        """
        server = self.settings.server
        check_port_free(server.port, "CARTRITA_SERVER__PORT")
        check_port_free(server.v2_port, "CARTRITA_SERVER__V2_PORT")
        check_port_free(server.grpc_port, "CARTRITA_SERVER__GRPC_PORT")

    @property
    def urls(self) -> dict[str, str]:
        """What a client on this machine can use."""
        server, ray = self.settings.server, self.settings.ray
        secure = "https" if server.secure else "http"
        host = _reachable(server.host)
        api = f"{secure}://{host}:{server.port}"
        return {
            "api": api,
            "docs": f"{api}/docs",
            "v2": f"{secure}://{host}:{server.v2_port}",
            "grpc": f"{host}:{server.grpc_port}",
            "metrics": f"{api}/metrics",
            "dashboard": f"http://{_reachable(ray.dashboard_host)}:{ray.dashboard_port}",
        }

    def spec(self, serve_port: int, rpc_port: int) -> ServiceSpec:
        """Write the edge's configuration and return what a keeper needs.

        Raises:
            ConfigurationInvalid: The certificate cannot be used.
        """
        server = self.settings.server
        edge = Edge(
            server.host,
            server.port,
            server.v2_port,
            serve_port,
            connections=server.max_connections,
            max_header=server.max_header_bytes,
            max_body=server.max_body_bytes,
            request_timeout=server.request_timeout_s,
            certificate=self.certificate.prepare(),
            connections_each=server.max_connections_each,
            streams=max(_STREAMS, self.settings.limits.socket_subscriptions),
            metrics_from=server.metrics_from,
            admin=self.admin,
            rpc=(server.grpc_port, rpc_port),
        )
        config = self.paths.runtime / "edge.cfg"
        replace_file(config, edge.render())
        log = str(self.paths.logs / "edge.log")
        # Not in master-worker mode: the keeper is the master.
        argv = (str(haproxy()), "-db", "-f", str(config))
        return ServiceSpec("edge", argv, log, stop_signal="SIGUSR1", grace=2)

    async def ready(self) -> None:
        """Wait until a task could come in.

        Raises:
            ServiceUnavailable: None could in a minute.
        """
        import httpx  # noqa: PLC0415 - 30 ms that `cartrita --help` need not pay

        url = f"{self.urls['api']}/readyz"
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT), httpx.AsyncClient(verify=False) as client:  # noqa: S501 - our own port
                while True:
                    with suppress(httpx.HTTPError):
                        if (await client.get(url, timeout=5)).is_success:
                            return
                    await asyncio.sleep(0.1)
        raise ServiceUnavailable(f"{url!r} is not ready after {ANSWER_TIMEOUT:g} s.")


def _reachable(host: str) -> str:
    """Return an address that a client on this machine can use."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared only
