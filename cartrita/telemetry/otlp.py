"""Sends traces to an OpenTelemetry collector, beside the work and never in its way."""

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from cartrita.telemetry.log import get_logger
from cartrita.telemetry.metrics import TRACES_DROPPED, TRACES_TOLD
from cartrita.telemetry.span import CLIENT, INTERNAL, SERVER, Sampling, Span, Telling, Value

log = get_logger(__name__)

PAUSE = 0.2
"""Seconds for which something may wait until others go along with it."""

ROOM = 4096
"""Tellings that may wait; those of what failed or was slow have as much room again."""

AT_ONCE = 512
"""Tellings that go in one request."""

TIMEOUT = 5.0
"""Seconds for one request; what could not be sent by then is dropped."""

RETRY_AFTER = 1.0
"""Seconds before a collector that is busy is asked once more."""

_NS = 1e9
_TAKEN, _BUSY = 200, (0, 429, 502, 503, 504)
_HEADERS = {"content-type": "application/x-protobuf"}
_ERROR = Status.STATUS_CODE_ERROR
_KINDS = {
    INTERNAL: Message.SPAN_KIND_INTERNAL,
    SERVER: Message.SPAN_KIND_SERVER,
    CLIENT: Message.SPAN_KIND_CLIENT,
}


@dataclass(frozen=True, slots=True)
class Collector:
    """Where traces go.

    Attributes:
        url: Its base address; `/v1/traces` is below it.
        service: Our name there.
        version: Of the program.
        process: Which of its processes this is.
    """

    url: str
    service: str
    version: str
    process: str


class OtlpTracer:
    """A tracer with a thread of its own, which begins with the first span.

    Args:
        collector: Where they go.
        sampling: Which traces are told.
    """

    def __init__(self, collector: Collector, sampling: Sampling) -> None:
        self.sampling = sampling
        self._where = urlsplit(collector.url).netloc
        self._requests = _Requests(collector)
        self._usual: deque[Telling] = deque()
        self._special: deque[Telling] = deque()
        self._wake, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        self._ended = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._away = False

    def tell(self, telling: Telling, *, special: bool = False) -> None:
        """Have spans sent, soon. Never waits and never fails."""
        queue = self._special if special else self._usual
        if len(queue) >= ROOM:
            TRACES_DROPPED.labels("no_room").inc()
            return
        queue.append(telling)
        if self._idle.is_set():
            self._begin()

    def _begin(self) -> None:
        self._idle.clear()
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._ended:
                    self._thread = threading.Thread(target=self._work, name="traces", daemon=True)
                    self._thread.start()
        self._wake.set()

    def close(self, timeout: float = 2.0) -> None:
        """Send what waits, for as long as that may take."""
        with self._lock:
            self._ended = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _work(self) -> None:
        pause = threading.Event()
        while True:
            self._wake.wait()
            self._wake.clear()
            if not self._ended:
                pause.wait(PAUSE)
            self._idle.set()  # whoever comes from now on wakes us again
            while batch := self._batch():
                self._send(batch)
            if self._ended:
                self._requests.close()
                return

    def _batch(self) -> list[Telling]:
        batch: list[Telling] = []
        for queue in (self._special, self._usual):
            while queue and len(batch) < AT_ONCE:
                batch.append(queue.popleft())
        return batch

    def _send(self, batch: list[Telling]) -> None:
        try:
            for telling in batch:
                self._requests.add(telling())
            told = self._requests.send()
        except Exception:  # nothing that is told may end the telling
            log.exception("traces_not_told", tellings=len(batch))
            TRACES_DROPPED.labels("not_taken").inc(len(batch))
            return
        TRACES_TOLD.labels(self._where).inc(told)
        if not told:
            TRACES_DROPPED.labels("not_taken").inc(len(batch))
        if bool(told) is self._away:  # once, not for every batch
            self._away = not told
            log.warning("collector_away" if self._away else "collector_back")


class _Requests:
    """What a collector is sent: OpenTelemetry's protocol over HTTP.

    Its messages are written as they are. Its SDK writes them by way of two more objects for
    each span, which costs six times as much.
    """

    def __init__(self, collector: Collector) -> None:
        self._process = {
            "service.name": collector.service,
            "service.version": collector.version,
            "service.instance.id": collector.process,
        }
        self._version = collector.version
        self._url = f"{collector.url.rstrip('/')}/v1/traces"
        self._client = httpx.Client(timeout=TIMEOUT, trust_env=False)
        self._begin()

    def _begin(self) -> None:
        self._request = ExportTraceServiceRequest()
        resource = self._request.resource_spans.add()
        _describe(resource.resource.attributes, self._process)
        scope = resource.scope_spans.add()
        scope.scope.name, scope.scope.version = "cartrita", self._version
        self._spans = scope.spans

    def add(self, spans: Iterable[Span]) -> None:
        """Take spans along."""
        for span in spans:
            _write(self._spans, span)

    def send(self) -> int:
        """Send what was added, and return how many spans arrived."""
        count, body = len(self._spans), self._request.SerializeToString()
        self._begin()
        return count if count and self._arrived(body) else 0

    def _arrived(self, body: bytes) -> bool:
        for pause in (RETRY_AFTER, None):
            try:
                answer = self._client.post(self._url, content=body, headers=_HEADERS)
            except httpx.HTTPError:
                status = 0
            else:
                status = answer.status_code
            if status == _TAKEN or pause is None or status not in _BUSY:
                break
            threading.Event().wait(pause)
        return status == _TAKEN

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


def _write(spans: Any, span: Span) -> None:
    """Add a span to those of a request."""
    told = spans.add(
        trace_id=bytes.fromhex(span.trace),
        span_id=bytes.fromhex(span.id),
        parent_span_id=bytes.fromhex(span.parent),
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=int(span.start * _NS),
        end_time_unix_nano=int(span.end * _NS),
    )
    _describe(told.attributes, span.attributes)
    if span.error is not None:
        told.status.code, told.status.message = _ERROR, span.error


def _describe(target: Any, attributes: Mapping[str, Value]) -> None:
    """Add attributes to a message's; each way around costs twice as much."""
    for key, value in attributes.items():
        told = target.add(key=key).value
        if isinstance(value, str):
            told.string_value = value
        elif isinstance(value, bool):
            told.bool_value = value
        elif isinstance(value, int):
            told.int_value = value
        else:
            told.double_value = value
