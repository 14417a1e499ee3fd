"""Gives answers again: from this process, from Valkey, from questions that mean the same."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from cartrita.clock import Clock
from cartrita.contrast import contrast
from cartrita.errors import CartritaError, ServiceUnavailable
from cartrita.privacy.finding import find
from cartrita.providers.ports import Embedder
from cartrita.storage.answers import Alike, Entry, Likeness, Meanings, Owner, Shelf
from cartrita.telemetry.log import get_logger
from cartrita.turns import Turns

log = get_logger(__name__)

T = TypeVar("T")

Tier = Literal["memory", "valkey", "meaning", "elsewhere"]

LARGEST = 256 << 10
"""Bytes of an answer that is kept."""

MOST_SHARED = 256
"""Answers on their way to where others find them; further ones stay in this process."""

LONGEST_TEXT = 1_000
"""Characters of a question that is compared by meaning: of a longer one a model reads a part."""


@dataclass(slots=True)
class Question:
    """What is asked, so that it is known again.

    Attributes:
        key: Of everything that the answer depends on.
        text: What may be only alike; None where nothing may.
        rest: Of everything else it depends on.
    """

    owner: Owner
    key: str
    text: str | None = None
    rest: str = ""
    likeness: Likeness | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that was given before.

    Attributes:
        result: In wire form.
        score: How alike the question was that it answered, up to 1.
    """

    result: dict[str, Any]
    tier: Tier
    score: float = 1.0


class Answers(Protocol):
    """Answers that may be given again. They only save work, so nothing here ever fails.

    Attributes:
        models: Names the models that are configured; those of others are not given.
    """

    models: str

    async def find(self, question: Question) -> Given | None:
        """Return the answer to a question, or to one that means the same."""

    async def keep(self, question: Question, result: dict[str, Any], seconds: float | None) -> None:
        """Keep an answer for so many seconds, or for the time that is set."""

    def turn(
        self, question: Question, patience: float
    ) -> AbstractAsyncContextManager[Given | None]:
        """Return another host's answer that was being worked out; None to work for oneself.

        While that is done, other hosts that are asked the same wait for it.

        Args:
            question: To which there is no answer yet.
            patience: The most seconds to wait.
        """

    async def forget(self, *, tenant: str | None = None, user: str | None = None) -> int:
        """Delete all answers of a tenant, or of a user in every tenant; returns how many.

        Raises:
            ServiceUnavailable: Something that may keep some cannot be reached.
        """


@dataclass(frozen=True, slots=True)
class Terms:
    """How answers are kept.

    Attributes:
        seconds: How long, unless their task says otherwise.
        own_seconds: How long at most in this process, where others have a say: what is deleted
            elsewhere is given here for so long.
        least: How alike two questions must be to have the same answer, up to 1.
        region: The country whose telephone numbers come without a prefix.
    """

    seconds: float = 3600.0
    own_seconds: float = 30.0
    least: float = 0.85
    region: str = "US"


class TieredAnswers:
    """Looks in the nearest place first, and keeps in all.

    Args:
        own: In this process.
        shelf: What all hosts share, if anything.
        meanings: The same, by meaning.
        embedder: Opens what compares texts, when there is one to compare.
        models: Names the models that are configured.
        turns: Has one host work where several share a shelf.
    """

    def __init__(  # noqa: PLR0913 - each is a separate collaborator
        self,
        terms: Terms,
        clock: Clock,
        own: Shelf,
        *,
        shelf: Shelf | None = None,
        meanings: Meanings | None = None,
        embedder: Callable[[], Awaitable[Embedder]] | None = None,
        models: str = "",
        turns: Turns | None = None,
    ) -> None:
        self._terms, self._clock = terms, clock
        self._own, self._shelf, self._meanings = own, shelf, meanings
        self._embedder, self.models, self._turns = embedder, models, turns
        self._sharing: set[asyncio.Task[None]] = set()

    async def find(self, question: Question) -> Given | None:
        """Return the answer to a question, or to one that means the same."""
        tenant, key = question.owner.tenant, question.key
        body = await self._own.get(tenant, key)
        if body is not None:
            return _given(body, "memory")
        if self._shelf:
            body = await _trying(self._shelf.get(tenant, key))
            if body is not None:
                await self._hold(question, body)
                return _given(body, "valkey")
        alike = await self._alike(question)
        return _given(alike.body, "meaning", alike.score) if alike else None

    async def keep(self, question: Question, result: dict[str, Any], seconds: float | None) -> None:
        """Keep an answer for so many seconds, or for the time that is set."""
        life = seconds or self._terms.seconds
        body = json.dumps([self._clock.now() + life, result], ensure_ascii=False).encode()
        if life <= 0 or len(body) > LARGEST:
            return
        await self._hold(question, body)
        if len(self._sharing) < MOST_SHARED and (self._shelf or self._meanings):
            entry = Entry(question.owner, question.key, body, life)
            task = asyncio.create_task(self._share(question, entry))
            self._sharing.add(task)
            task.add_done_callback(self._sharing.discard)

    @asynccontextmanager
    async def turn(self, question: Question, patience: float) -> AsyncIterator[Given | None]:
        """Return another host's answer that was being worked out; None to work for oneself."""
        shelf = self._shelf
        if self._turns is None or shelf is None:
            yield None
            return

        async def look() -> bytes | None:
            return await shelf.get(question.owner.tenant, question.key)

        async with self._turns.turn(question.key, patience, look, self._shown) as body:
            if body is not None:
                await self._hold(question, body)
            yield _given(body, "elsewhere") if body is not None else None

    async def _shown(self) -> None:
        """Wait until what was kept here by now is kept everywhere."""
        if self._sharing:
            await asyncio.wait(tuple(self._sharing))

    async def settle(self) -> None:
        """Wait until what is kept here is kept everywhere."""
        while self._sharing:
            await asyncio.wait(tuple(self._sharing))

    async def _share(self, question: Question, entry: Entry) -> None:
        """Keep an answer where others find it, which nobody waits for."""
        if self._shelf:
            await _trying(self._shelf.put(entry))
        if self._meanings:
            asked = await self._likeness(question)
            if asked:
                await _trying(self._meanings.put(entry, asked))

    async def forget(self, *, tenant: str | None = None, user: str | None = None) -> int:
        """Delete all answers of a tenant, or of a user in every tenant; returns how many."""
        await self.settle()
        places = (self._own, self._shelf, self._meanings)
        return sum([await place.forget(tenant=tenant, user=user) for place in places if place])

    async def close(self) -> None:
        """Let go of what keeps them; what is not kept everywhere by now is not."""
        for task in tuple(self._sharing):
            task.cancel()
        await self.settle()
        for held in (self._turns, self._own, self._shelf):
            if held:
                await held.close()

    async def _hold(self, question: Question, body: bytes) -> None:
        """Keep an answer in this process, for as long as it holds and no longer than it may."""
        left = json.loads(body)[0] - self._clock.now()
        life = min(left, self._terms.own_seconds) if self._shelf else left
        if life > 0:
            await self._own.put(Entry(question.owner, question.key, body, life))

    async def _alike(self, question: Question) -> Alike | None:
        """Look for a question that means the same, if there is one to compare it with at all."""
        tenant, scope = question.owner.tenant, _scope(question, self._terms.region)
        if self._meanings is None or scope is None:
            return None
        known = await _trying(self._meanings.knows(tenant, scope))
        asked = await self._likeness(question) if known else None
        if asked is None:
            return None
        return await _trying(self._meanings.nearest(tenant, asked, self._terms.least))

    async def _likeness(self, question: Question) -> Likeness | None:
        """Return what a question is compared by; None where it is compared by nothing."""
        text, scope = question.text, _scope(question, self._terms.region)
        if question.likeness or not (text and scope and self._embedder):
            return question.likeness
        try:
            embedder = await self._embedder()
            vector = (await embedder.embed([text]))[0]
        except CartritaError as error:
            log.warning("answers_not_compared", error=error.message)
            return None
        question.likeness = Likeness(scope, embedder.info.model, vector)
        return question.likeness


def _scope(question: Question, region: str) -> str | None:
    """Return what must be the same in two questions, whatever their texts mean.

    What tells a text from others that only seem alike is a part of it. A text with personal
    data in it is nobody else's.
    """
    text = question.text
    if text is None or len(text) > LONGEST_TEXT or find(text, region):
        return None
    return f"{question.rest}:{contrast(text)}"


def _given(body: bytes, tier: Tier, score: float = 1.0) -> Given:
    return Given(json.loads(body)[1], tier, score)


async def _trying(asked: Awaitable[T]) -> T | None:
    """Return what storage answers; None where it cannot be reached, which costs work only."""
    try:
        return await asked
    except ServiceUnavailable as error:
        log.debug("answers_away", error=error.message)
        return None
