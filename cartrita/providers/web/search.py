"""Asks several search engines, at once or one after another."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Protocol

from cartrita.egress.client import Egress
from cartrita.errors import CartritaError, NetworkFailed
from cartrita.providers.guarded import Guarded
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
        guards: What the calls of each go out through.
        chain: Where nobody says which: these one after another, until one has found
            something. Empty asks all at once.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        on_request: Sequence[Engine],
        absent: Mapping[str, str],
        egress: Egress,
        *,
        guards: Mapping[str, Guarded],
        chain: Sequence[str] = (),
    ) -> None:
        self._guards, self._chain = guards, chain
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
        rounds = [known] if sources or not self._chain else self._links()
        lists: dict[str, list[Hit]] = {}
        waits: list[float] = []
        for names in rounds:
            for name, answer in await self._asked(names, query, limit):
                if isinstance(answer, CartritaError):
                    problems.append(f"{name}: {answer.message}")
                    waits += [answer.retry_after] if answer.retry_after else []
                else:
                    lists[name] = answer
            if any(lists.values()):
                break
        if known and not lists:
            told = f"No search engine answered. {' '.join(problems)}"
            raise NetworkFailed(told, retry_after=min(waits, default=None))
        mixed = tuple(_mixed(list(lists.values())))[:limit]
        return Hits(mixed, tuple(lists), tuple(problems))

    def _links(self) -> list[list[str]]:
        """Return the chain, without what is not configured and with what it does not name last."""
        named = [name for name in self._chain if name in self.sources]
        return [[name] for name in (*named, *(n for n in self.sources if n not in named))]

    async def _asked(
        self, names: Sequence[str], query: str, limit: int
    ) -> list[tuple[str, list[Hit] | CartritaError]]:
        """Return what sources found that were asked at once, or why they did not answer."""

        async def ask(name: str) -> tuple[str, list[Hit] | CartritaError]:
            engine = self._all[name]
            try:
                called = await self._guards[name].call(lambda: engine.search(query, limit))
            except CartritaError as error:
                return name, error
            return name, called.answer

        return await asyncio.gather(*map(ask, names))

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
