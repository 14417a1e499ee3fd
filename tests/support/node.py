"""Runs the Node client of Socket.IO, which `npm ci` installs."""

import json
import subprocess
from functools import cache
from pathlib import Path
from shutil import which

import pytest

HOME = Path(__file__).parent.parent / "e2e" / "node"


@cache
def _install() -> None:
    if which("node") is None or which("npm") is None:
        pytest.skip("Node and npm are not installed.")
    if not (HOME / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=HOME, check=True, timeout=120)


def node_client(url: str, token: str, mode: str, *transports: str) -> list[dict]:
    """Return what the client was told."""
    return _told("client.cjs", url, token, mode, ",".join(transports))


def front_end(url: str, token: str, text: str) -> list[dict]:
    """Return what v2's front end is told when somebody says something."""
    return _told("frontend.cjs", url, token, text)


def fetched(url: str, body: dict) -> dict:
    """Return the status, headers and body that a page gets for posting JSON."""
    (told,) = _told("fetch.cjs", url, json.dumps(body))
    return told


def _told(program: str, *arguments: str) -> list[dict]:
    _install()
    words = ["node", program, *arguments]
    done = subprocess.run(words, cwd=HOME, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
