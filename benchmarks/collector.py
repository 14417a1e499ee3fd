"""A collector of traces: within a program, or by itself, where it only takes and counts.

python -m benchmarks.collector          prints its address; at its end, what came
"""

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_LENGTH = b"content-length:"
_TAKEN = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Came:
    """A span that came.

    Attributes:
        trace: 32 hex digits, as ids are.
        failed: Its status says so.
        teller: The process that told of it.
    """

    name: str
    trace: str
    id: str
    parent: str
    start: float
    end: float
    failed: bool
    attributes: dict[str, Any]
    teller: str


class Collected:
    """What came, by trace; what is told twice with the same ids is there once."""

    def __init__(self) -> None:
        self.url = ""
        self._bodies: list[bytes] = []
        self._traces: dict[str, dict[str, Came]] = {}

    def take(self, body: bytes) -> None:
        """Keep a request's body; it is read when somebody looks."""
        self._bodies.append(body)

    def traces(self) -> dict[str, dict[str, Came]]:
        """Return all spans by trace and id."""
        bodies, self._bodies = self._bodies, []
        for body in bodies:
            for one in ExportTraceServiceRequest.FromString(body).resource_spans:
                told = {item.key: item.value.string_value for item in one.resource.attributes}
                for span in (span for scope in one.scope_spans for span in scope.spans):
                    came = _came(span, told.get("service.instance.id", ""))
                    self._traces.setdefault(came.trace, {})[came.id] = came
        return self._traces


def _came(span: Any, teller: str) -> Came:
    attributes = {
        item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes
    }
    return Came(
        span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
        span.start_time_unix_nano / 1e9, span.end_time_unix_nano / 1e9, span.status.code == 2,
        attributes, teller,
    )  # fmt: skip


@contextmanager
def collecting() -> Iterator[Collected]:
    """Run a collector in a thread of this process, that keeps what it is sent."""
    collected = Collected()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            collected.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_told: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collected.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield collected
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def main() -> None:
    """Take what is sent until ended, then say how much that was."""
    counts = {"requests": 0, "bytes": 0}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.lower().split(b"\r\n")
                (length,) = (int(line[len(_LENGTH) :]) for line in lines if _LENGTH in line)
                await reader.readexactly(length)
                counts["requests"] += 1
                counts["bytes"] += length
                writer.write(_TAKEN)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 24)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await ended.wait()
    sys.stdout.write(json.dumps(counts) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
