"""A real edge for tests, and what stands behind it."""

import contextlib
import datetime as dt
import ipaddress
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cartrita.edge import Edge, haproxy
from tests.support.database import free_ports

TIMEOUT = 1
MAX_BODY = 10_000
MAX_HEADER = 4096


def edge_to(url: str, **options: Any) -> Edge:
    """Return an edge on free ports before the server at a URL."""
    port, v2_port = free_ports(2)
    limits = {"request_timeout": TIMEOUT, "max_body": MAX_BODY, "max_header": MAX_HEADER}
    behind = urlsplit(url).port
    assert behind
    return Edge("127.0.0.1", port, v2_port, behind, **{**limits, **options})


def checked(edge: Edge, folder: Path) -> Path:
    """Write an edge's configuration down and have HAProxy judge it."""
    config = folder / "edge.cfg"
    config.write_text(edge.render())
    judged = subprocess.run(
        [haproxy(), "-c", "-f", config], capture_output=True, text=True, timeout=20, check=False
    )
    assert judged.returncode == 0, judged.stderr
    assert "[WARNING]" not in judged.stderr
    return config


@contextmanager
def running_edge(edge: Edge, folder: Path) -> Iterator[None]:
    """Run HAProxy until the context ends."""
    config = checked(edge, folder)
    with (folder / "edge.log").open("w") as log:
        process = subprocess.Popen([haproxy(), "-db", "-f", config], stdout=log, stderr=log)
    try:
        for port in (edge.port, edge.v2_port, *(edge.rpc or ())[:1]):
            _wait_for(port)
        assert process.poll() is None, (folder / "edge.log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < deadline, f"nobody listens at {port}"
        time.sleep(0.02)


class Mirror:
    """An application that answers with what reached it, and says who it is as Serve does.

    `/hang` answers never, and notes when its client has left.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.hanging, self.left = threading.Event(), threading.Event()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        self.requests.append(scope["path"])
        if scope["path"] == "/hang":
            self.hanging.set()
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
            return
        await self._reflect(scope, receive, send)

    async def _reflect(self, scope, receive, send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
        said = json.dumps({"headers": headers, "path": scope["path"], "body": len(body)}).encode()
        ident = dict(scope["headers"]).get(b"x-request-id", b"none")
        told = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(said)).encode()),
            (b"x-request-id", ident),
            (b"x-request-id", ident),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": told})
        await send({"type": "http.response.body", "body": said})


def write_certificate(path: Path) -> Path:
    """Write a self-made certificate for 127.0.0.1 and its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = dt.datetime.now(dt.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    path.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def read(connection):
    """Return everything that comes until the other end closes."""
    received = b""
    while part := connection.recv(65_536):
        received += part
    return received


def response_of(raw):
    """Read a raw HTTP answer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    return httpx.Response(int(first.split()[1]), headers=headers, content=body)


def seen(answer):
    """Return the headers that reached the application, every value of each."""
    found = {}
    for name, value in answer.json()["headers"]:
        found.setdefault(name, []).append(value)
    return found


def assert_edge_problem(answer, status, code):
    """Check a document that HAProxy wrote: it has no path, the rest is as everywhere."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert re.fullmatch("[0-9a-f]{32}", body["traceId"])
    assert isinstance(body["retryable"], bool)
    assert body["title"]
    assert body["detail"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    return body
