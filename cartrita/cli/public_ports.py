"""The public ports of an embedded instance."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cartrita.config.settings import Settings
from cartrita.edge import Edge, haproxy
from cartrita.errors import ServiceUnavailable
from cartrita.instance import Paths, replace_file
from cartrita.storage.embedded.preconditions import check_port_free
from cartrita.storage.embedded.service import ServiceSpec

ANSWER_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class PublicPorts:
    """What the edge of an instance is started with, and how others reach it."""

    settings: Settings
    paths: Paths

    def check_free(self) -> None:
        """Refuse ports that somebody has.

        Raises:
            ConfigurationInvalid: One is taken.
        """
        server = self.settings.server
        check_port_free(server.port, "CARTRITA_SERVER__PORT")
        check_port_free(server.v2_port, "CARTRITA_SERVER__V2_PORT")

    @property
    def urls(self) -> dict[str, str]:
        """What a client on this machine can use."""
        server, ray = self.settings.server, self.settings.ray
        secure = "https" if server.tls_certificate else "http"
        host = _reachable(server.host)
        api = f"{secure}://{host}:{server.port}"
        return {
            "api": api,
            "docs": f"{api}/docs",
            "v2": f"{secure}://{host}:{server.v2_port}",
            "metrics": f"{api}/metrics",
            "dashboard": f"http://{_reachable(ray.dashboard_host)}:{ray.dashboard_port}",
        }

    def spec(self, serve_port: int) -> ServiceSpec:
        """Write the edge's configuration and return what a keeper needs."""
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
            certificate=self._certificate(),
        )
        config = self.paths.runtime / "edge.cfg"
        replace_file(config, edge.render())
        log = str(self.paths.logs / "edge.log")
        # Not in master-worker mode: the keeper is the master.
        argv = (str(haproxy()), "-db", "-f", str(config))
        return ServiceSpec("edge", argv, log, stop_signal="SIGUSR1", grace=2)

    def _certificate(self) -> Path | None:
        """Return chain and key in one file, as HAProxy wants them."""
        server = self.settings.server
        if server.tls_certificate is None or server.tls_key is None:
            return None
        whole = self.paths.runtime / "edge.pem"
        replace_file(whole, server.tls_certificate.read_text() + server.tls_key.read_text())
        return whole

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
