"""Asks sites whether they want to be read by us."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

import httpx
from protego import Protego

from cartrita.clock import Clock
from cartrita.egress.client import Egress
from cartrita.errors import AgentFailed, AuthorizationFailed, NetworkFailed

MOST_SITES = 1_000
KEPT = 3600.0
"""Seconds that a site's rules hold; RFC 9309 §2.4 allows a day."""

KEPT_FAILURE = 60.0
LARGEST = 500 * 1024
"""Bytes that are read of the rules, as RFC 9309 §2.5 has it."""

MOST_BYTES = 4 << 20
"""Of all rules together, as they came; read, they take twenty times as much."""

_NOTHING = Protego.parse("")
_EVERYTHING = Protego.parse("User-agent: *\nDisallow: /")


@dataclass(slots=True)
class _Rules:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    rules: Protego | None = None
    until: float = 0.0
    size: int = 0


class Robots:
    """Knows the robots.txt of the sites that were asked last.

    As RFC 9309 has it: without such a file all is allowed, and nothing while a site cannot
    tell.

    Args:
        egress: What asks.
        name: The product name that rules are for.
    """

    def __init__(self, egress: Egress, clock: Clock, name: str) -> None:
        self._egress, self._clock, self._name = egress, clock, name
        self._sites: OrderedDict[str, _Rules] = OrderedDict()

    async def check(self, url: httpx.URL) -> None:
        """Look whether a page may be read.

        Raises:
            AuthorizationFailed: The site does not want that.
        """
        if url.path == "/robots.txt":
            return
        rules = await self._of(str(url.copy_with(raw_path=b"/robots.txt", fragment=None)))
        if not rules.can_fetch(str(url), self._name):
            raise AuthorizationFailed(f"The robots.txt of {url.host!r} does not allow that page.")

    async def _of(self, address: str) -> Protego:
        site = self._sites.setdefault(address, _Rules())
        self._sites.move_to_end(address)
        self._forget()
        async with site.lock:
            if site.rules is None or site.until <= self._clock.monotonic():
                site.rules, seconds, site.size = await self._read(address)
                site.until = self._clock.monotonic() + seconds
                self._forget()
            return site.rules

    def _forget(self) -> None:
        """Let those go that were not asked about for longest, where there are too many."""
        held = sum(site.size for site in self._sites.values())
        while len(self._sites) > MOST_SITES or held > MOST_BYTES:
            held -= self._sites.popitem(last=False)[1].size

    async def _read(self, address: str) -> tuple[Protego, float, int]:
        """Return a site's rules, for how many seconds they hold, and of how many bytes they are."""
        try:
            answer = await self._egress.ask(address, kinds=("*/*",))
        except NetworkFailed:
            return _EVERYTHING, KEPT_FAILURE, 0
        except AgentFailed:  # something is there, but no rules
            return _NOTHING, KEPT, 0
        if answer.status == httpx.codes.TOO_MANY_REQUESTS or answer.status >= 500:  # noqa: PLR2004
            return _EVERYTHING, KEPT_FAILURE, 0
        if not answer.ok:
            return _NOTHING, KEPT, 0
        body = answer.body[:LARGEST]
        rules = await asyncio.to_thread(Protego.parse, body.decode("utf-8", "replace"))
        return rules, KEPT, len(body)
