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
    return run_node("client.cjs", url, token, mode, ",".join(transports))


def run_node(*words: str) -> list[dict]:
    """Return the lines of JSON that a program in that folder prints."""
    _install()
    done = subprocess.run(
        ["node", *words], cwd=HOME, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
