"""Replaces workers when the secrets that they were given have changed."""

import asyncio
from contextlib import suppress
from typing import Any, Protocol

from cartrita.errors import CartritaError, NotFound
from cartrita.telemetry.log import get_logger

log = get_logger(__name__)

GRACE = 60.0
"""Seconds in which what runs with the old ones may end."""


class Secrets(Protocol):
    """Secrets that may change."""

    @property
    def idle(self) -> bool:
        """Whether there is nothing to look at."""

    def changed(self) -> bool:
        """Look; tell whether something is not as it was the last time. Blocks."""


class Hosts(Protocol):
    """The workers of one shard."""

    def snapshot(self) -> list[dict[str, Any]]:
        """Return each with its `id`."""

    async def restart(self, name: str | None, grace: float) -> list[str]:
        """Replace one, after at most so many seconds."""


async def renew(secrets: Secrets, every: float, hosts: Hosts) -> None:
    """Look every so many seconds, for as long as the process lives."""
    while not secrets.idle:
        try:
            if await asyncio.to_thread(secrets.changed):
                log.info("secrets_changed")
                await _replace(hosts)
        except CartritaError as error:
            log.warning("secrets_unread", error=error.message)
        except Exception:  # whatever it is, it must not end this for good
            log.exception("renewal_failed")
        await asyncio.sleep(every)


async def _replace(hosts: Hosts) -> None:
    """Replace them one after another, so that the others work meanwhile."""
    for row in hosts.snapshot():
        with suppress(NotFound):  # it was ended for another reason
            await hosts.restart(row["id"], GRACE)
