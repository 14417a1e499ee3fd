"""Tests of actors/agents/health.py."""

import asyncio

import pytest

from actors.agents.health import Health
from cartrita.errors import InvalidParameters
from cartrita.providers.ports import ProbeReport, Probes
from cartrita.testing import run_task
from tests.support.fakes import FixedProbes

GOOD = ProbeReport("postgres", ok=True, required=True, latency_ms=1.23456, detail="fine")
LAME = ProbeReport("redis", ok=False, required=False, latency_ms=2.0, detail="gone")
BAD = ProbeReport("postgres", ok=False, required=True, latency_ms=3.0, detail="gone")


@pytest.mark.parametrize(
    "payload",
    [
        "text",
        0,
        -1.5,
        True,
        None,
        [],
        [None, {"a": None}],
        {"some_key": 1, "someKey": {"nested": [1, "2", None]}},
        "🎉\u0000",
    ],
)
async def test_echo_sends_back_exactly_what_came(payload):
    result = await run_task(Health, "system.echo", {"payload": payload}, {Probes: FixedProbes()})
    assert result.to_wire() == {"payload": payload}


@pytest.mark.parametrize("params", [{}, {"payload": 1, "delayMs": 10_001}, {"payload": object()}])
async def test_echo_refuses_what_the_contract_does_not_name(params):
    with pytest.raises(InvalidParameters):
        await run_task(Health, "system.echo", params, {Probes: FixedProbes()})


async def test_echo_waits_as_long_as_it_is_told():
    loop = asyncio.get_running_loop()
    started = loop.time()
    params = {"payload": 1, "delayMs": 30}
    await run_task(Health, "system.echo", params, {Probes: FixedProbes()})
    assert loop.time() - started >= 0.03


@pytest.mark.parametrize(
    ("reports", "status"),
    [
        ((), "healthy"),
        ((GOOD,), "healthy"),
        ((GOOD, LAME), "degraded"),
        ((BAD,), "unhealthy"),
        ((BAD, LAME), "unhealthy"),
    ],
)
async def test_the_overall_state_follows_from_the_probes(reports, status):
    providers = {Probes: FixedProbes(*reports)}
    result = await run_task(Health, "system.health_check", {}, providers)
    assert result.to_wire()["status"] == status
    assert len(result.to_wire()["probes"]) == len(reports)


async def test_each_probe_is_listed_with_its_latency():
    result = await run_task(Health, "system.health_check", {}, {Probes: FixedProbes(GOOD)})
    assert result.to_wire()["probes"] == [
        {"name": "postgres", "ok": True, "required": True, "latencyMs": 1.235, "detail": "fine"}
    ]


@pytest.mark.parametrize("spec", Health.spec.tasks, ids=lambda spec: spec.name)
async def test_examples_run_and_cost_nothing(spec):
    assert await run_task(Health, spec.name, spec.example, {Probes: FixedProbes(GOOD)})
    assert spec.cost.max_usd == 0
    assert spec.idempotent
