"""A persona of v2, and what follows from it for models.

The ranges and the straight lines between them are v2's, so that its clients show what they did.
"""

import math
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

TRAITS = {
    "tone": 5.0,
    "creativity": 5.0,
    "empathy": 5.0,
    "analytical_depth": 5.0,
    "brevity": 5.0,
    "humor": 4.0,
    "proactivity": 5.0,
}
"""Each from 0 to `HIGHEST`, and what it is by default."""

HIGHEST = 10.0
MODES = {"empathetic": True, "witty": True, "direct": False, "analytical": False}
MOST_DOMAINS, LONGEST_DOMAIN, LONGEST_NOTES = 5, 40, 400
LONGEST_NAME = 60


def normalised(config: Any) -> dict[str, Any]:
    """Return a whole persona: what is out of range is brought into it, as v2 did."""
    told: Mapping[str, Any] = config if isinstance(config, Mapping) else {}
    persona: dict[str, Any] = {
        name: _trait(told.get(name, usual)) for name, usual in TRAITS.items()
    }
    domains = told.get("domain_focus")
    listed = domains[:MOST_DOMAINS] if isinstance(domains, list) else []
    persona["domain_focus"] = [str(domain)[:LONGEST_DOMAIN] for domain in listed]
    persona["style_notes"] = str(told.get("style_notes") or "")[:LONGEST_NOTES]
    persona["interaction_modes"] = _modes(told.get("interaction_modes", MODES))
    return persona


def derived(persona: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters for a model that follow from a normalised persona."""
    depth, brevity, humor = persona["analytical_depth"], persona["brevity"], persona["humor"]
    pace = _whole(_line(persona["proactivity"], 2, 10))
    return {
        "temperature": _rounded(_line((persona["creativity"] + humor) / 2, 0.3, 1.2), 2),
        "top_p": _rounded(_line(persona["creativity"], 0.7, 1.0), 2),
        "max_output_tokens": _whole(_line(HIGHEST - brevity + depth, 256, 2048)),
        "reasoning_depth": _whole(_line(depth, 1, 8)),
        "humor_probability": _rounded(_line(humor, 0, 0.45), 3),
        "suggestion_interval": max(2, 12 - pace),
        "style": {
            "empathy": _word(persona["empathy"], "minimal", "balanced", "high"),
            "directness": _directness(brevity),
            "tone_level": persona["tone"],
        },
        "persona": dict(persona),
    }


def _trait(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number):
        number = HIGHEST / 2
    held = min(max(number, 0.0), HIGHEST)
    tenths = math.floor(held * 10 + 0.5) / 10
    return int(tenths) if tenths.is_integer() else tenths


def _modes(told: Any) -> dict[str, bool]:
    asked = told if isinstance(told, Mapping) else {}
    modes = {name: bool(asked.get(name)) for name in MODES}
    return modes if any(modes.values()) else {**modes, "witty": True}


def _line(value: float, least: float, most: float) -> float:
    return least + (most - least) * (value / HIGHEST)


def _whole(value: float) -> int:
    return math.floor(value + 0.5)


def _rounded(value: float, places: int) -> float:
    step = Decimal(1).scaleb(-places)
    return float(Decimal(value).quantize(step, ROUND_HALF_UP))


def _word(value: float, low: str, middle: str, high: str) -> str:
    return high if value >= 7 else middle if value >= 4 else low  # noqa: PLR2004 - v2's steps


def _directness(brevity: float) -> str:
    return "concise" if brevity >= 7 else "elaborate" if brevity <= 3 else "balanced"  # noqa: PLR2004 - v2's steps
