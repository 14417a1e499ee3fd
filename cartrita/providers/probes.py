"""Looks at everything this process depends on, all at once."""

import asyncio
from collections.abc import Sequence

from cartrita.clock import Clock, SystemClock
from cartrita.errors import CartritaError, ModelRequired
from cartrita.providers.ports import Embedder, Probe, ProbeReport


class ProbeSet:
    """Runs probes side by side, each for as long as it may.

    Args:
        probes: What to look at; reports come in this order.
        timeout: Seconds per probe.
        clock: Measures the latency.
    """

    def __init__(
        self, probes: Sequence[Probe], timeout: float = 3.0, clock: Clock | None = None
    ) -> None:
        self._probes = tuple(probes)
        self._timeout = timeout
        self._clock = clock or SystemClock()

    async def check(self) -> tuple[ProbeReport, ...]:
        """Probe all; one that fails or hangs is a report that is not ok."""
        return tuple(await asyncio.gather(*map(self._one, self._probes)))

    async def _one(self, probe: Probe) -> ProbeReport:
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                detail, ok = await probe.check(), True
        except TimeoutError:
            detail, ok = f"no answer within {self._timeout:g} s", False
        except CartritaError as error:
            detail, ok = error.message, False
        except Exception as error:  # noqa: BLE001 - whatever a probe runs into is its finding
            # Only the kind: messages of drivers may hold addresses and user names.
            detail, ok = type(error).__name__, False
        latency = (self._clock.monotonic() - started) * 1000
        return ProbeReport(probe.name, ok, probe.required, latency, detail)


class ModelProbe:
    """Embeds one word; the first time it also loads the model, which may take a second."""

    name = "embedder"
    required = False

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def check(self) -> str:
        """Return the model's name, if it makes vectors of the length it promises."""
        vectors = await self._embedder.embed(["ready"])
        expected = (1, self._embedder.dimensions)
        if vectors.shape != expected:
            raise ModelRequired(
                f"{self._embedder.info.model!r} made vectors of shape {vectors.shape}, not "
                f"{expected}: configure another embedding model."
            )
        return self._embedder.info.model
