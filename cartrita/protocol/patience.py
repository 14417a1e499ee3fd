"""How long a server asks to wait."""

import math
from typing import Any

LONGEST = 86_400.0


def seconds_to_wait(told: Any) -> float | None:
    """Return the seconds that a `Retry-After` or its like tells, at most a day.

    None for its other form, a date, and for what is no number of seconds.
    """
    try:
        seconds = float(told)
    except (TypeError, ValueError):
        return None
    return min(max(seconds, 0.0), LONGEST) if math.isfinite(seconds) else None
