"""Tests of cartrita/providers/probes.py."""

import numpy as np

from cartrita.errors import ServiceUnavailable
from cartrita.providers.ports import Vectors
from cartrita.providers.probes import ModelProbe, ProbeSet
from tests.support.fakes import FakeProbe, WordEmbedder


class ShortVectors(WordEmbedder):
    async def embed(self, texts) -> Vectors:
        return np.zeros((len(texts), 3), dtype=np.float32)


async def test_reports_every_probe_in_order_with_its_latency():
    reports = await ProbeSet([FakeProbe("one"), FakeProbe("two", required=False)]).check()
    assert [(report.name, report.ok, report.required) for report in reports] == [
        ("one", True, True),
        ("two", True, False),
    ]
    assert reports[0].detail == "one works"
    assert all(report.latency_ms >= 0 for report in reports)


async def test_a_probe_that_hangs_is_given_up_and_holds_up_no_other():
    reports = await ProbeSet([FakeProbe("slow", hangs=True), FakeProbe("good")], 0.01).check()
    assert [report.ok for report in reports] == [False, True]
    assert reports[0].detail == "no answer within 0.01 s"
    assert reports[0].latency_ms >= 10


async def test_our_errors_are_told_and_the_words_of_others_are_not():
    secret = RuntimeError("postgresql://bob:secret@db")
    ours = ServiceUnavailable("PostgreSQL does not answer.")
    reports = await ProbeSet([FakeProbe("a", error=ours), FakeProbe("b", error=secret)]).check()
    assert [report.detail for report in reports] == ["PostgreSQL does not answer.", "RuntimeError"]
    assert not any(report.ok for report in reports)


async def test_no_probes_make_no_reports():
    assert await ProbeSet([]).check() == ()


async def test_the_model_probe_names_a_model_that_works():
    assert await ModelProbe(WordEmbedder()).check() == "fake/words"


async def test_the_model_probe_finds_vectors_of_the_wrong_length():
    (report,) = await ProbeSet([ModelProbe(ShortVectors())]).check()
    assert not report.ok
    assert "(1, 3)" in report.detail
