"""Which of several models should answer: a weighing of what is known about them.

    score = Σ weight x attribute - what the request asks for beyond the model's quality

Attributes are from 0 to 1, the higher the better. Cost and latency are compared within one
choice: the cheapest model has cost 1, one at ten times its price a third less, down to 0.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cartrita.protocol.task import Preferences

SHORT = 400
LONG = 12_000
"""Characters of a conversation that asks for little, and for much."""

TOOLS = 0.15
"""How much harder a request becomes by tools that are to be used well."""

SIMPLE_NEED, HARD_NEED = 0.4, 0.85
"""The quality that the easiest and the hardest requests ask for."""

SHORTFALL = 1.5
"""What each missing part of that costs."""

DECADES = 3
"""Orders of magnitude between the best and the worst there is."""

NOTHING = 1e-5
"""USD, or seconds, below which nothing is cheaper or faster."""

SHARE = 0.2
"""How much the newest call counts in what is observed."""

TRUSTED_AFTER = 3
"""Calls after which what was measured counts instead of what the table says."""

_HARD = (
    *("prove", "derive", "algorithm", "refactor", "debug", "analyse", "analyze", "compare"),
    *("step by step", "explain why", "design", "architecture", "legal", "diagnos", "```"),
)


class Weights(NamedTuple):
    """How much each attribute counts; only their proportions matter."""

    quality: float
    cost: float
    latency: float
    safety: float
    availability: float


Preset = Literal["quality-first", "cost-first", "balanced", "speed", "safety"]

PRESETS: Mapping[Preset, Weights] = {
    "quality-first": Weights(0.6, 0.1, 0.1, 0.15, 0.05),
    "cost-first": Weights(0.2, 0.5, 0.1, 0.15, 0.05),
    "balanced": Weights(0.35, 0.25, 0.25, 0.1, 0.05),
    "speed": Weights(0.2, 0.1, 0.5, 0.15, 0.05),
    "safety": Weights(0.25, 0.1, 0.15, 0.45, 0.05),
}

_BY_LEVEL: Mapping[str, Preset] = {
    "fast": "speed",
    "balanced": "balanced",
    "best": "quality-first",
}


@dataclass(frozen=True, slots=True)
class Observed:
    """What the calls of one model were like, the newest counting most.

    Attributes:
        calls: How many there were.
        seconds: What one that succeeded took.
        errors: The part of them that failed, from 0 to 1.
    """

    calls: int = 0
    seconds: float = 0.0
    errors: float = 0.0

    def after(self, seconds: float | None) -> "Observed":
        """Return what is known after one more call; None for one that failed."""
        share = max(SHARE, 1 / (self.calls + 1))
        errors = self.errors + share * ((seconds is None) - self.errors)
        took = self.seconds
        if seconds is not None:
            took = seconds if not took else took + share * (seconds - took)
        return Observed(self.calls + 1, took, errors)


@dataclass(frozen=True, slots=True)
class Option:
    """One model that may be chosen.

    Attributes:
        quality: From 0 to 1.
        safety: From 0 to 1.
        price: USD for 1,000 tokens in and as many out.
        seconds: What the table says an answer takes.
        well: Whether calls are let through to it.
    """

    name: str
    quality: float
    safety: float
    price: float
    seconds: float
    observed: Observed = Observed()
    well: bool = True

    @property
    def latency(self) -> float:
        """Seconds that an answer takes, as measured once that is known."""
        known = self.observed.calls >= TRUSTED_AFTER and self.observed.seconds > 0
        return self.observed.seconds if known else self.seconds

    @property
    def availability(self) -> float:
        """How likely a call succeeds."""
        return (1 - self.observed.errors) if self.well else 0.0


def preset_for(preferences: Preferences, *, scarce: bool = False) -> Preset:
    """Return how a request is weighed; `scarce` says that its budget is nearly used up."""
    if preferences.cost_optimization or scarce:
        return "cost-first"
    return _BY_LEVEL[preferences.quality_level]


def complexity(texts: Sequence[str], tools: int = 0) -> float:
    """Estimate how hard a request is, from 0 to 1, without a model.

    Args:
        texts: The conversation; the last one is what is asked.
        tools: How many may be used.
    """
    size = sum(map(len, texts))
    length = min(1.0, max(0.0, (size - SHORT) / (LONG - SHORT)))
    asked = texts[-1].lower() if texts else ""
    hints = sum(word in asked for word in _HARD)
    return min(1.0, 0.5 * length + 0.2 * min(hints, 3) + (TOOLS if tools else 0.0))


def rank(options: Sequence[Option], weights: Weights, demand: float = 0.0) -> list[Option]:
    """Return options with the best first; of equals, the one named first.

    Those that are not well come last, whatever they are otherwise.

    Args:
        options: What may be chosen.
        weights: How much what counts.
        demand: How hard the request is, from 0 to 1.
    """
    if not options:
        return []
    cheapest = min(option.price for option in options)
    fastest = min(option.latency for option in options)
    need = SIMPLE_NEED + (HARD_NEED - SIMPLE_NEED) * demand
    whole = sum(weights) or 1.0

    def score(option: Option) -> float:
        attributes = Weights(
            option.quality,
            _share(cheapest, option.price),
            _share(fastest, option.latency),
            option.safety,
            option.availability,
        )
        sums = sum(w * a for w, a in zip(weights, attributes, strict=True)) / whole
        return sums - SHORTFALL * max(0.0, need - option.quality)

    return sorted(options, key=lambda option: (not option.well, -score(option)))


def _share(least: float, value: float) -> float:
    """Return how near a price or a time is to the least there is, by its order of magnitude."""
    times = max(value, NOTHING) / max(least, NOTHING)
    return max(0.0, 1.0 - math.log10(times) / DECADES)
