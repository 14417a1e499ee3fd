"""What a collector is sent, and what happens where it is away."""

import pytest

from cartrita.telemetry import otlp
from cartrita.telemetry.metrics import TRACES_DROPPED
from cartrita.telemetry.span import CLIENT, Sampling, Span
from cartrita.telemetry.trace import continue_trace, fresh_id, trace_id
from tests.support.collector import collecting
from tests.support.processes import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def collector():
    with collecting() as receiver:
        yield receiver


def span(name="work", **more):
    return Span(name, TRACE, fresh_id(), "", 1.0, 2.5, **more)


def dropped():
    reasons = ("no_room", "not_taken")
    return sum(TRACES_DROPPED.labels(reason)._value.get() for reason in reasons)


def test_a_span_arrives_as_it_was_told(collector):
    tracer = collector.tracer()
    told = {"a": "text", "b": 2, "c": 0.5, "d": True}
    tracer.tell(lambda: [span(kind=CLIENT, attributes=told, error="why")])
    tracer.close()
    (came,) = collector.spans
    assert (came.name, came.trace, came.attributes) == ("work", TRACE, told)
    assert (came.start, came.end) == (1_000_000_000, 2_500_000_000)
    assert (came.kind, came.status.code, came.status.message) == (3, 2, "why")
    assert came.resource["service.version"] == "3"


async def test_it_is_sent_without_being_asked_for(collector):
    tracer = collector.tracer()
    tracer.tell(lambda: [span()])
    assert await eventually(lambda: collector.spans, 5)
    tracer.tell(lambda: [span()])
    assert await eventually(lambda: len(collector.spans) == 2, 5)
    tracer.close()


def test_many_go_together(collector):
    tracer = collector.tracer()
    for _ in range(500):
        tracer.tell(lambda: [span(), span()])
    tracer.close()
    assert len(collector.spans) == 1000
    assert collector.requests <= 3


def test_where_there_is_no_room_what_is_special_has_some(collector, monkeypatch):
    monkeypatch.setattr(otlp, "ROOM", 10)
    collector.open.clear()
    tracer, before = collector.tracer(), dropped()
    for _ in range(50):
        tracer.tell(lambda: [span("usual")])
    for _ in range(5):
        tracer.tell(lambda: [span("special")], special=True)
    collector.open.set()
    tracer.close()
    names = [came.name for came in collector.spans]
    assert names.count("special") == 5
    assert names.count("usual") + dropped() - before == 50
    assert dropped() > before


@pytest.mark.parametrize("status", [400, 500])
def test_what_a_collector_refuses_is_counted_and_forgotten(collector, status):
    collector.status = status
    tracer, before = collector.tracer(), dropped()
    tracer.tell(lambda: [span()])
    tracer.close()
    assert dropped() == before + 1
    assert collector.requests == 1


def test_a_busy_collector_is_asked_once_more(collector, monkeypatch):
    monkeypatch.setattr(otlp, "RETRY_AFTER", 0.01)
    collector.status = 503
    tracer = collector.tracer()
    tracer.tell(lambda: [span()])
    tracer.close()
    assert collector.requests == 2


def test_a_defect_in_what_is_told_harms_nothing_else(collector):
    tracer = collector.tracer()
    tracer.tell(lambda: 1 / 0)
    tracer.close()
    again = collector.tracer()
    again.tell(lambda: [span()])
    again.close()
    assert len(collector.spans) == 1


def test_nobody_listens_and_nobody_notices(monkeypatch):
    monkeypatch.setattr(otlp, "RETRY_AFTER", 0.01)
    where = otlp.Collector("http://127.0.0.1:9", "a", "b", "c")
    tracer, before = otlp.OtlpTracer(where, Sampling()), dropped()
    tracer.tell(lambda: [span()])
    tracer.close()
    tracer.tell(lambda: [span()])  # after the end: nothing, either
    assert dropped() >= before + 1


def test_a_part_of_all_traces_is_picked_by_their_ids():
    sampling = Sampling(ratio=0.25, slow=1.0)
    traces = [continue_trace(None) for _ in range(4000)]
    picked = sum(map(sampling.picks, traces))
    assert 800 < picked < 1200
    assert not any(Sampling(ratio=0.0).picks(trace) for trace in traces)
    assert all(Sampling(ratio=1.0).picks(trace) for trace in traces)
    left = next(trace for trace in traces if not sampling.picks(trace))
    assert sampling.keeps(left, 1.0, failed=False)
    assert sampling.keeps(left, 0.0, failed=True)
    assert not sampling.keeps(left, 0.5, failed=False)
    assert len(trace_id(left)) == 32
