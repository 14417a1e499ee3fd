"""How an owner starts Ray's head node, and the environment Ray and Serve need."""

import secrets
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from cartrita.config.settings import Settings
from cartrita.instance import Paths, replace_file
from cartrita.storage.embedded.service import ServiceSpec

_RANGE = 100
_RANGES = 250
_PORTS = 12
_SERVE, _RPC = 5, 11


def free_ports(count: int) -> list[int]:
    """Return free loopback ports, all different."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            found.append(listener.getsockname()[1])
        return found


@dataclass(frozen=True, slots=True)
class Head:
    """One start of Ray's head node.

    Attributes:
        ports: Of Ray's and Serve's own services, none of them fixed, so that two instances
            live side by side.
    """

    settings: Settings
    paths: Paths
    ports: list[int]

    @classmethod
    def plan(cls, settings: Settings, paths: Paths) -> "Head":
        """Choose the ports of a new start."""
        return cls(settings, paths, free_ports(_PORTS))

    def successor(self) -> "Head":
        """Choose those of a start after a death; those that the edge knows stay."""
        kept = {index: self.ports[index] for index in (_SERVE, _RPC)}
        ports = [port for port in free_ports(_PORTS) if port not in kept.values()]
        for index, port in kept.items():
            ports.insert(index, port)
        return replace(self, ports=ports[:_PORTS])

    @property
    def address(self) -> str:
        """Where drivers find it."""
        return f"127.0.0.1:{self.ports[0]}"

    @property
    def serve_port(self) -> int:
        """Where Serve's own HAProxy listens."""
        return self.settings.server.serve_port or self.ports[_SERVE]

    @property
    def rpc_port(self) -> int:
        """Where the gateways serve gRPC, behind the edge."""
        return self.ports[_RPC]

    def environment(self) -> dict[str, str]:
        """Return what every process of this Ray must see; no secret is among it."""
        runtime = self.paths.runtime
        haproxy = runtime / "h"
        first = 20_000 + _RANGE * (blake2b(bytes(runtime), digest_size=2).digest()[0] % _RANGES)
        ports = self.ports
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file()),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_DISABLE_IMPORT_WARNING": "1",
            "RAY_worker_niceness": "0",  # the default of 15 is for batch work
            "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",  # many threads, small machine: 64 MB a core and process
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_HAPROXY_BINARY_PATH": str(runtime / "haproxy-loopback"),
            "RAY_SERVE_HAPROXY_NBTHREAD": "1",
            "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
            "RAY_SERVE_HAPROXY_MAXCONN": str(self.settings.server.max_connections),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(haproxy / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(haproxy / "admin.sock"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(haproxy / "metrics.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(haproxy),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(haproxy / "server-state"),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports[6]),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(ports[7]),
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports[8]),
            "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports[9]),
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first),
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first + _RANGE // 2 - 1),
            "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(first + _RANGE // 2),
            "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(first + _RANGE - 1),
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
            # Its loop takes 3 % of a core at ten times a second, with nothing to do.
            "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.25",
            # Serve replaces its HAProxy after three of these: ten seconds each are too many.
            "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
        }

    def token_file(self) -> Path:
        """Return the file with the token that Ray asks of its clients, made on first use."""
        file = self.paths.ray_token
        if not file.exists():
            replace_file(file, secrets.token_hex(32))
        return file

    def spec(self, environment: dict[str, str]) -> ServiceSpec:
        """Return what a keeper needs; the owner restarts it, because the tree comes with it."""
        ray, ports = self.settings.ray, self.ports
        options = {
            "node-ip-address": "127.0.0.1",
            "port": ports[0],
            "dashboard-host": ray.dashboard_host,
            "dashboard-port": ray.dashboard_port,
            "ray-client-server-port": ports[10],
            "include-log-monitor": False,  # 50 MB to copy logs to drivers, which we do not ask for
            "dashboard-agent-listen-port": ports[1],
            "dashboard-agent-grpc-port": ports[2],
            "runtime-env-agent-port": ports[3],
            "metrics-export-port": ports[4],
            "min-worker-port": 0,  # any free port: the default range may hold one of ours
            "max-worker-port": 0,
            "temp-dir": self.paths.runtime / "ray",
            "object-store-memory": ray.object_store_mb * 1024 * 1024,
        }
        if ray.num_cpus:
            options["num-cpus"] = ray.num_cpus
        flags = [f"--{name}={value}" for name, value in options.items()]
        return ServiceSpec(
            name="ray",
            argv=(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block",
                  "--no-monitor", "--disable-usage-stats", *flags),
            log_path=str(self.paths.logs / "ray.log"),
            env=environment,
            grace=4.0,
            restart=False,
        )  # fmt: skip
