"""The attached lifetime: Cartrita on a Ray that somebody else runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

import httpx
import psutil
import pytest

from cartrita.cli.head import free_ports
from tests.support.cluster import certificates
from tests.support.instance import Instance, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(400)]


@pytest.fixture
def foreign_ray():
    """A Ray of nobody's in particular, with TLS; yields what its processes and its users see."""
    # A short path: Ray's and HAProxy's sockets lie below it.
    folder = Path(mkdtemp(prefix="fr", dir="/tmp"))
    gcs, dashboard, client, agent, serve, metrics, stats = free_ports(7)
    (folder / "h").mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CARTRITA_", "RAY_"))}
    tls = {k: v for k, v in certificates(folder).items() if k.startswith("RAY_")}
    environment = {
        **kept,
        **tls,
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "h/haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "h/a.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder / "h"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "h/state"),
    }
    flags = {
        "port": gcs, "dashboard-port": dashboard, "ray-client-server-port": client,
        "dashboard-agent-listen-port": agent, "min-worker-port": 0, "max-worker-port": 0,
        "temp-dir": folder / "r", "object-store-memory": 100_000_000,
    }  # fmt: skip
    log = (folder / "ray.log").open("w")
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block",
         *(f"--{name}={value}" for name, value in flags.items())],
        env=environment, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    processes = [psutil.Process(head.pid)]

    def started() -> bool:
        return "Ray runtime started" in (folder / "ray.log").read_text()

    try:
        wait_until("Ray is up", started, 60)
        yield {
            **environment,
            "RAY_ADDRESS": f"127.0.0.1:{gcs}",
            "CARTRITA_SERVER__SERVE_PORT": str(serve),
        }
    finally:
        processes += processes[0].children(recursive=True)
        for process in processes:
            if process.is_running():
                process.kill()
        head.wait(10)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_up_and_down_deploy_on_a_foreign_ray_and_leave_it_running(foreign_ray, services):
    with services.fresh_database() as url:
        home = Path(mkdtemp(prefix="cartrita-attached-"))
        chosen = {
            "CARTRITA_HOME": str(home),
            "CARTRITA_POSTGRES__URL": url,
            "CARTRITA_REDIS__URL": services.redis_url,
            "CARTRITA_ADMIN__PASSWORD": "a good long password",
        }
        attached = Instance(home, {**foreign_ray, **chosen})
        api = f"http://127.0.0.1:{foreign_ray['CARTRITA_SERVER__SERVE_PORT']}"
        for _ in range(2):  # the second time adopts what runs
            done = attached.cli("up", "--json", timeout=280)
            assert done.returncode == 0, done.stderr
        assert httpx.get(f"{api}/readyz", timeout=10).status_code == 200
        done = attached.cli("--url", api, "run", "system.echo", "payload=hi")
        assert done.returncode == 0, done.stderr
        body = {"email": "somebody@example.org", "password": "a good long password"}
        assert httpx.post(f"{api}/auth/register", json=body, timeout=10).status_code == 403
        done = attached.cli("down", timeout=120)
        assert done.returncode == 0, done.stderr
        again = attached.cli("down", timeout=120)
        assert again.returncode == 3
        assert "no Serve instance" in again.stderr
        attached.remove()
