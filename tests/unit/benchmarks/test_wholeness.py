"""The checker of traces: it misses every span that is missing."""

import pytest

from benchmarks.collector import Came
from benchmarks.wholeness import Asked, faults
from cartrita.telemetry.trace import below
from cartrita.trail import Leg, Trail, attempt_id, spans
from cartrita.uses import MODEL, TOOL
from tests.support.records import record

OUTSIDE, REQUEST = "00f067aa0ba902b7", "1" * 16
TRACE = f"00-4bf92f3577b34da6a3ce929d0e0e4736-{REQUEST}-01"
CHILDREN = ("system.echo", "langchain.chat.execute")
CALL = {
    "model": "bench", "tokensIn": 1, "tokensOut": 2, "nanoUsd": 3, "durationMs": 4.0,
}  # fmt: skip
RUN = {"name": "lookup", "durationMs": 4.0, "failed": False}


def came(span):
    told = (span.start, span.end, span.error is not None, span.attributes, "system/0.1")
    return Came(span.name, span.trace, span.id, span.parent, *told)


def trail(kind, trace=TRACE, attempts=1):
    task = record(task_type=kind, trace=trace)
    made = Trail.of(task, "mixed", "system/0", 1.0)
    made.accepted, made.ending = 2.0, 4.0
    made.legs = [Leg(n + 1, 2.0, "host", 3.0, "COMPLETED") for n in range(attempts)]
    uses = {"bench.family": (TOOL, RUN), "langchain.chat.execute": (MODEL, CALL)}
    if kind in uses:
        made.used(attempts, 3.0, *uses[kind])
    made.close(5.0, {"status": "COMPLETED"})
    return made


def family(attempts=2):
    """Return a task's spans with those of what it called for, and what its client knows."""
    parent = trail("bench.family", attempts=attempts)
    inner = below(TRACE, attempt_id(parent.task_id, attempts))
    told = [came(one) for one in spans(parent)]
    told += [came(one) for child in CHILDREN for one in spans(trail(child, inner))]
    told.append(Came("POST /v3/tasks", TRACE[3:35], REQUEST, OUTSIDE, 0, 5, False, {}, "gateway"))
    asked = Asked(parent.task_id, "bench.family", TRACE[3:35], OUTSIDE, attempts, False)
    return asked, {one.id: one for one in told}


def test_a_whole_trace_has_no_faults():
    assert faults(*family()) == []


@pytest.mark.parametrize("missing", range(len(family()[1])))
def test_any_span_that_is_missing_is_missed(missing):
    asked, told = family()
    del told[list(told)[missing]]
    assert faults(asked, told)


def test_a_span_of_nobody_s_is_a_fault():
    asked, told = family()
    told["x"] = Came("stray", asked.trace, "x", "y", 0, 1, False, {}, "")
    assert faults(asked, told) == ["the parent of stray is missing"]


def test_what_nobody_knows_any_more_after_a_supervisor_s_death_may_be_missing():
    asked, told = family()
    (admit,) = [
        one for one in told.values() if one.name == "journal admit" and one.parent
        in {t.id for t in told.values() if t.name == "task bench.family"}
    ]  # fmt: skip
    del told[admit.id]
    assert faults(asked, told) == ["journal admit of bench.family is missing"]
    between = Asked(asked.task_id, asked.kind, asked.trace, OUTSIDE, 2, False, between=True)
    assert faults(between, told) == []
