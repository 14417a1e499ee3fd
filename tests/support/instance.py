"""Drives an instance through its command line and its API, as users do."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from cartrita.cli.head import free_ports

START_TIMEOUT = 280
STOP_TIMEOUT = 90


@dataclass
class Instance:
    """An instance with a home and ports of its own."""

    home: Path
    environment: dict[str, str]
    password: str = ""
    urls: dict[str, str] = field(default_factory=dict)
    clients: list[httpx.Client] = field(default_factory=list)

    @classmethod
    def planned(cls, home: Path) -> "Instance":
        api, v2, grpc, dashboard, postgres, redis = free_ports(6)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CARTRITA_", "RAY_"))}
        return cls(
            home,
            {
                **kept,
                "CARTRITA_HOME": str(home),
                "CARTRITA_SERVER__PORT": str(api),
                "CARTRITA_SERVER__V2_PORT": str(v2),
                "CARTRITA_SERVER__GRPC_PORT": str(grpc),
                "CARTRITA_RAY__DASHBOARD_PORT": str(dashboard),
                "CARTRITA_POSTGRES__PORT": str(postgres),
                "CARTRITA_REDIS__PORT": str(redis),
                "CARTRITA_HUGGINGFACE__PATH": str(home / "models"),
                # Load is what some of these tests are about.
                "CARTRITA_LIMITS__RATE_MAX": "1000000",
                "CARTRITA_LIMITS__RATE_SHARED_MAX": "1000000",
            },
        )

    def cli(self, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cartrita", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def up(self) -> dict[str, Any]:
        done = self.cli("up", "--detach", "--json", timeout=START_TIMEOUT)
        assert done.returncode == 0, done.stderr
        facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        self.urls = facts["urls"]
        self.password = facts.get("adminPassword", self.password)
        return facts

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.cli("down", timeout=STOP_TIMEOUT)

    def remove(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def owner(self) -> psutil.Process:
        return psutil.Process(json.loads((self.home / "instance.json").read_text())["pid"])

    @property
    def ready(self) -> bool:
        return bool(json.loads((self.home / "instance.json").read_text())["ready"])

    def processes(self) -> list[psutil.Process]:
        owner = self.owner
        return [owner, *owner.children(recursive=True)]

    def login(self) -> httpx.Client:
        """Return a client that is signed in as the administrator."""
        body = {"email": "admin@cartrita.local", "password": self.password}
        return self._signed_in("/auth/login", body)

    def register(self, email: str) -> httpx.Client:
        """Return a client that is signed in as a new ordinary user."""
        body = {"email": email, "password": "correct horse battery", "name": "Test"}
        return self._signed_in("/auth/register", body)

    def _signed_in(self, path: str, body: dict[str, str]) -> httpx.Client:
        client = httpx.Client(base_url=self.urls["api"], timeout=60, verify=self.trust)
        self.clients.append(client)
        answer = client.post(path, json=body)
        assert answer.is_success, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return client

    @property
    def trust(self) -> ssl.SSLContext | bool:
        """Whom its clients trust: the authority of a self-made certificate, where there is one."""
        made = self.home / "tls" / "ca.pem"
        return ssl.create_default_context(cafile=made) if made.exists() else True

    def close_clients(self) -> None:
        while self.clients:
            self.clients.pop().close()


def run_task(
    client: httpx.Client, task_type: str, parameters: dict[str, Any], **fields: Any
) -> dict[str, Any]:
    body = {"taskType": task_type, "parameters": parameters, **fields}
    answer = client.post("/v3/tasks", json=body)
    assert answer.status_code == 200, answer.text
    response: dict[str, Any] = answer.json()
    return response


def wait_until(what: str, true: Callable[[], bool], timeout: float = 30) -> None:
    """Look until something outside this process has happened."""
    limit = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < limit, f"{what}: not within {timeout} s"
        time.sleep(0.05)
