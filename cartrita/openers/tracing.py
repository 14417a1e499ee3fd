"""Opens what traces go to."""

# ruff: noqa: PLC0415 - without a collector nothing of OpenTelemetry is loaded

from collections.abc import Callable
from typing import Any

from cartrita import __version__
from cartrita.config.settings import Settings
from cartrita.telemetry.span import Sampling, Tracer


def open_tracer(settings: Settings, process: str) -> Tracer | None:
    """Return what spans are told to; None where no collector is named.

    Args:
        settings: They name the collector.
        process: Which of our processes this is.
    """
    told = settings.telemetry
    if told.otlp_endpoint is None:
        return None
    from cartrita.telemetry.otlp import Collector, OtlpTracer

    collector = Collector(told.otlp_endpoint, told.service_name, __version__, process)
    return OtlpTracer(collector, sampling(settings))


def sampling(settings: Settings) -> Sampling:
    """Return which traces are told."""
    return Sampling(settings.telemetry.trace_ratio, settings.telemetry.trace_slow_s)


def tracing_openers(settings: Settings) -> dict[Any, Callable[[Any], Any]]:
    """Return what tells hosts that traces are told."""
    if settings.telemetry.otlp_endpoint is None:
        return {}
    return {Sampling: lambda _services: sampling(settings)}
