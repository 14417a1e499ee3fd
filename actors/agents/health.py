"""Says whether the system works."""

import asyncio
from typing import Any, Literal

from pydantic import Field, JsonValue

from cartrita.context import Context
from cartrita.declare import Agent, Params, Result, task
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import ProbeReport, Probes


class EchoParams(Params):
    """What to send back, and after how long."""

    payload: JsonValue
    delay_ms: int = Field(default=0, ge=0, le=10_000)


class EchoResult(Result):
    """What was sent."""

    payload: JsonValue

    def to_wire(self) -> dict[str, Any]:
        """Return the payload with every null that came in with it."""
        return {"payload": self.payload}


class HealthCheckParams(Params):
    """Nothing: everything is looked at."""


class ProbeResult(WireModel):
    """What one probe found."""

    name: str
    ok: bool
    required: bool = Field(description="Whether nothing works without it.")
    latency_ms: float
    detail: str


class HealthCheckResult(Result):
    """The overall state and what each probe found."""

    status: Literal["healthy", "degraded", "unhealthy"] = Field(
        description="`unhealthy` when something required fails, `degraded` when anything else does."
    )
    probes: list[ProbeResult]


class Health(Agent, team="system", concurrency=64):
    """Echoes, and looks at what the system depends on."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes

    @task("system.echo", idempotent=True, example={"payload": {"hello": "world"}, "delayMs": 5})
    async def echo(self, params: EchoParams, ctx: Context) -> EchoResult:
        """Send the payload back: for probes, load tests and benchmarks."""
        if params.delay_ms:
            await asyncio.sleep(params.delay_ms / 1000)
        return EchoResult(payload=params.payload)

    @task("system.health_check", timeout=15, idempotent=True, example={})
    async def check(self, params: HealthCheckParams, ctx: Context) -> HealthCheckResult:
        """Use each dependency once and report which of them work."""
        reports = await self._probes.check()
        return HealthCheckResult(
            status=_overall(reports),
            probes=[
                ProbeResult(
                    name=report.name,
                    ok=report.ok,
                    required=report.required,
                    latency_ms=round(report.latency_ms, 3),
                    detail=report.detail,
                )
                for report in reports
            ],
        )


def _overall(reports: tuple[ProbeReport, ...]) -> Literal["healthy", "degraded", "unhealthy"]:
    failed = [report for report in reports if not report.ok]
    if not failed:
        return "healthy"
    return "unhealthy" if any(report.required for report in failed) else "degraded"
