"""Asks several search engines at once."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Protocol

from cartrita.egress.client import Egress
from cartrita.errors import CartritaError, NetworkFailed
from cartrita.providers.ports_web import Hit, Hits


class Engine(Protocol):
    """One source.

    Attributes:
        name: By which it is asked for.
    """

    name: str

    async def search(self, query: str, limit: int) -> list[Hit]:
        """Return what it finds, best first."""


class Engines:
    """All sources that are configured.

    Args:
        engines: Asked where nobody says which.
        on_request: Asked by name only.
        absent: The settings that would bring further ones, by their name.
        egress: What they ask with; closed with them.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        on_request: Sequence[Engine],
        absent: Mapping[str, str],
        egress: Egress,
    ) -> None:
        self._all = {engine.name: engine for engine in (*engines, *on_request)}
        self._absent, self._egress = absent, egress
        self.sources = tuple(engine.name for engine in engines)
        self.on_request = tuple(engine.name for engine in on_request)

    async def close(self) -> None:
        """Close the connections."""
        await self._egress.close()

    async def search(self, query: str, limit: int, sources: Sequence[str] = ()) -> Hits:
        """Ask several sources and mix what they find."""
        wanted = list(dict.fromkeys(sources or self.sources))
        known = [name for name in wanted if name in self._all]
        problems = [self._unknown(name) for name in wanted if name not in self._all]
        answers = await asyncio.gather(
            *(self._all[name].search(query, limit) for name in known), return_exceptions=True
        )
        lists: dict[str, list[Hit]] = {}
        for name, answer in zip(known, answers, strict=True):
            if isinstance(answer, CartritaError):
                problems.append(f"{name}: {answer.message}")
            elif isinstance(answer, BaseException):
                raise answer
            else:
                lists[name] = answer
        if known and not lists:
            raise NetworkFailed(f"No search engine answered. {' '.join(problems)}")
        mixed = tuple(_mixed(list(lists.values())))[:limit]
        return Hits(mixed, tuple(lists), tuple(problems))

    def _unknown(self, name: str) -> str:
        setting = self._absent.get(name)
        if setting:
            return f"{name!r} is not configured: set {setting}."
        return f"There is no source {name!r}; known are {', '.join([*self._all, *self._absent])}."


def _mixed(lists: Sequence[Sequence[Hit]]) -> Iterator[Hit]:
    """Yield the first of each, the second of each, …, every address once."""
    seen: set[str] = set()
    for hit in chain.from_iterable(zip_longest(*lists)):
        if hit is None:
            continue
        address = hit.url.partition("#")[0].rstrip("/")
        if address not in seen:
            seen.add(address)
            yield hit
