"""A collector of traces on a real socket, that keeps what it is sent."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cartrita.telemetry.otlp import Collector, OtlpTracer
from cartrita.telemetry.span import Sampling


class Received:
    """One span as it came."""

    def __init__(self, span, resource) -> None:
        self.name, self.resource = span.name, resource
        self.trace, self.id = span.trace_id.hex(), span.span_id.hex()
        self.parent = span.parent_span_id.hex()
        self.start, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        self.kind, self.status = span.kind, span.status
        self.attributes = {one.key: _value(one.value) for one in span.attributes}

    def __repr__(self) -> str:
        return f"<{self.name} {self.id} in {self.parent or 'nothing'}>"


def _value(value):
    return getattr(value, value.WhichOneof("value"))


class Receiver:
    """What came. It answers with `status`, once it is `open`."""

    def __init__(self, url: str) -> None:
        self.url, self.status, self.requests = url, 200, 0
        self.open = threading.Event()
        self.open.set()
        self.spans: list[Received] = []

    def take(self, body: bytes) -> None:
        told = ExportTraceServiceRequest.FromString(body)
        for resource in told.resource_spans:
            named = {one.key: _value(one.value) for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [Received(span, named) for span in scope.spans]

    def traces(self) -> dict[str, list[Received]]:
        """Return the spans of each trace; one that was told twice the same counts once."""
        found: dict[str, dict[str, Received]] = defaultdict(dict)
        for span in self.spans:
            found[span.trace][span.id] = span
        return {trace: list(spans.values()) for trace, spans in found.items()}

    def tracer(self, sampling: Sampling | None = None) -> OtlpTracer:
        """Return a tracer that tells this one."""
        return OtlpTracer(Collector(self.url, "cartrita-mcp", "3", "test"), sampling or Sampling())


def whole(spans: list[Received], outside: str = "") -> bool:
    """Tell whether spans are one tree, with nothing of it missing.

    Args:
        spans: All of one trace.
        outside: The client's own span, which nobody here tells.
    """
    ids = {span.id for span in spans}
    roots = [span for span in spans if span.parent == outside]
    return len(roots) == 1 and all(span.parent in ids for span in spans if span is not roots[0])


@contextmanager
def collecting() -> Iterator[Receiver]:
    """Run a collector in a thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.requests += 1
            receiver.open.wait(10)
            if receiver.status == 200 and self.path == "/v1/traces":
                receiver.take(body)
            self.send_response(receiver.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_told) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.open.set()
        server.shutdown()
        thread.join()
        server.server_close()
