"""Has what was kept for long enough forgotten, a little at a time."""

import asyncio

from cartrita.errors import ServiceUnavailable
from cartrita.storage.runtime import Keep, Retention
from cartrita.telemetry.log import get_logger

log = get_logger(__name__)

BREATH = 0.05
"""Seconds between two deletions, for whoever else needs the disk."""


async def forget(retention: Retention, keep: Keep, every: float) -> None:
    """Look for what is due every so many seconds, for as long as the process lives.

    Every supervisor does, and whoever comes first works. Nobody needs to own a shard for it:
    what has ended is written by nobody.
    """
    while True:
        await asyncio.sleep(every)
        total = 0
        try:
            while count := await retention.forget(keep):
                total += count
                await asyncio.sleep(BREATH)
        except ServiceUnavailable:
            pass  # the next time
        except Exception:  # whatever it is, it must not end this for good
            log.exception("forgetting_failed")
        if total:
            log.info("forgot", tasks=total)
