"""`cartrita up`, `redeploy` and `down` on a Ray that somebody else runs."""

import json
import socket
import subprocess
import sys

import typer

from cartrita.cli.output import print_json
from cartrita.config.load import child_environment
from cartrita.config.settings import Settings
from cartrita.errors import ConfigurationInvalid, ServiceUnavailable

PROGRAM = "serve_apps.main"
REACH_TIMEOUT = 3.0
DEPLOY_TIMEOUT = 300.0
DRAIN = 10.0
SERVE_PORT = 8000
_LAST_LINES = 8


def deploy(settings: Settings, *, as_json: bool) -> None:
    """Deploy the tree and the gateway; they outlive this command.

    Raises:
        ConfigurationInvalid: No database is named, which a cluster must share.
        ServiceUnavailable: The Ray cannot be reached, or refuses.
    """
    if settings.postgres.dsn is None:
        raise ConfigurationInvalid(
            f"The Ray at {settings.ray.address!r} is somebody else's (CARTRITA_RAY__ADDRESS or "
            "RAY_ADDRESS), and an instance on it needs a Postgres of its own: set "
            "CARTRITA_POSTGRES__URL, or unset the address to start everything here."
        )
    port = settings.server.serve_port or SERVE_PORT
    _run(settings, "deploy", {"address": _reachable(settings), "port": port})
    url = f"http://127.0.0.1:{port}"
    if as_json:
        print_json({"ready": True, "urls": {"api": url}})
    else:
        typer.echo(f"Cartrita runs on the Ray at {settings.ray.address}: {url} on its head node.")


def remove(settings: Settings) -> bool:
    """Take the gateway away and drain the tree; the Ray stays.

    Raises:
        ServiceUnavailable: The Ray cannot be reached, or no tree runs on it.
    """
    _run(settings, "remove", {"address": _reachable(settings), "grace": DRAIN})
    return True


def redeploy(settings: Settings) -> None:
    """Replace the gateways one after another.

    Raises:
        ServiceUnavailable: The Ray cannot be reached, or the new ones do not come up.
    """
    port = settings.server.serve_port or SERVE_PORT
    _run(settings, "redeploy", {"address": _reachable(settings), "port": port})


def _reachable(settings: Settings) -> str:
    """Return the address of a Ray that answers; drivers would wait long for one that does not."""
    address = settings.ray.address or ""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():  # `auto`, or a name that only Ray can resolve
        return address
    try:
        socket.create_connection((host, int(port)), REACH_TIMEOUT).close()
    except OSError as error:
        raise ServiceUnavailable(
            f"No Ray answers at {address!r} ({error}), which CARTRITA_RAY__ADDRESS or RAY_ADDRESS "
            "names: start it, or unset the address to start everything here."
        ) from error
    return address


def _run(settings: Settings, verb: str, facts: dict[str, object]) -> None:
    """Run the program, which imports Ray, in a process of its own."""
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", PROGRAM, verb, json.dumps(facts)],
            env=child_environment(settings),
            capture_output=True,
            text=True,
            timeout=DEPLOY_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ServiceUnavailable(f"{verb!r} took longer than {DEPLOY_TIMEOUT:g} s.") from None
    if done.returncode != 0:
        end = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise ServiceUnavailable(f"{verb!r} failed on the Ray at {facts['address']!r}:\n{end}")
