"""A real Prometheus of a test's own, with the repo's configuration."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import yaml

from cartrita.cli.head import free_ports
from tests.support.instance import wait_until

ROOT = Path(__file__).parents[2]
HOME = ROOT / "cluster" / "prometheus"

NEEDED = "Install Prometheus: apt-get install -y --no-install-recommends prometheus"


class Prometheus:
    """Asks a running Prometheus."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=10)

    def ready(self) -> bool:
        try:
            return self._client.get("/-/ready").is_success
        except httpx.HTTPError:
            return False

    def query(self, text: str) -> list[float]:
        """Return the values of an instant query that are numbers."""
        answer = self._client.get("/api/v1/query", params={"query": text})
        assert answer.is_success, f"{text}: {answer.text}"
        found = [float(row["value"][1]) for row in answer.json()["data"]["result"]]
        return [value for value in found if math.isfinite(value)]

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = self._client.get("/api/v1/alerts").json()["data"]["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def targets(self) -> dict[str, str]:
        """Return the health of each job's target."""
        found = self._client.get("/api/v1/targets").json()["data"]["activeTargets"]
        return {one["labels"]["job"]: one["health"] for one in found}

    def close(self) -> None:
        self._client.close()


@contextmanager
def prometheus(folder: Path, api: str, discovery: Path | None = None) -> Iterator[Prometheus]:
    """Run one that looks every second, and whose alerts do not wait.

    Args:
        folder: For its data.
        api: The address of the instance that it watches.
        discovery: Where Ray tells of its nodes.
    """
    program = shutil.which("prometheus")
    assert program, NEEDED
    (port,) = free_ports(1)
    (folder / "prometheus.yml").write_text(_configuration(api, discovery))
    rules = re.sub(r"(?m)^        for: .*\n", "", (HOME / "alerts.yml").read_text())
    (folder / "alerts.yml").write_text(rules)
    url = f"http://127.0.0.1:{port}"
    argv = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(argv, stderr=log) as process:
        asked = Prometheus(url)
        try:
            wait_until("Prometheus is ready", asked.ready)
            yield asked
        finally:
            asked.close()
            process.kill()


def _configuration(api: str, discovery: Path | None) -> str:
    """Return the repo's configuration for an instance at another address."""
    told = yaml.safe_load((HOME / "prometheus.yml").read_text())
    told["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval"), "1s")
    for job in told["scrape_configs"]:
        job.pop("scrape_interval", None)
        for group in job.get("static_configs", ()):
            group["targets"] = [urlsplit(api).netloc]
        for listed in job.get("http_sd_configs", ()):
            listed |= {"url": f"{api}/metrics/targets", "refresh_interval": "1s"}
        if discovery and "file_sd_configs" in job:
            job["file_sd_configs"] = [{"files": [str(discovery)]}]
    told["scrape_configs"] = [
        job for job in told["scrape_configs"] if job["job_name"] != "otel-collector"
    ]
    return json.dumps(told)
