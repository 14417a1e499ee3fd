"""Asks whether a token was taken back, and remembers the answer for a moment."""

import asyncio
from dataclasses import dataclass

from cartrita.auth.claims import Claims
from cartrita.auth.recent import Recent
from cartrita.clock import Clock
from cartrita.storage.ports import Users

REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store said, and when in monotonic seconds."""

    barred: bool
    at: float


class Revocations:
    """The store's answers, each asked for at most once every `ttl` seconds.

    So a token that was revoked elsewhere is refused here `ttl` seconds later at the latest;
    one that was revoked through this object, at once. A revocation is never forgotten while
    it is in the memory. Belongs to one event loop.
    """

    def __init__(self, users: Users, clock: Clock, ttl: float) -> None:
        self._users, self._clock, self._ttl = users, clock, ttl
        self._answers: Recent[str, Answer] = Recent(REMEMBERED)
        self._asking: dict[str, asyncio.Task[bool]] = {}

    async def barred(self, claims: Claims) -> bool:
        """Tell whether the token, its session or its user is no longer welcome.

        Raises:
            ServiceUnavailable: The store cannot be reached, and the last answer is too old.
        """
        answer = self._answers.get(claims.jti)
        if answer and (answer.barred or self._clock.monotonic() - answer.at < self._ttl):
            return answer.barred
        task = self._asking.get(claims.jti)
        if task is None:
            task = asyncio.create_task(self._ask(claims))
            self._asking[claims.jti] = task
            task.add_done_callback(lambda _: self._asking.pop(claims.jti))
        # One caller that leaves must not take the question away from the others.
        return await asyncio.shield(task)

    def bar(self, jti: str) -> None:
        """Refuse this token here from now on."""
        self._answers.put(jti, Answer(barred=True, at=self._clock.monotonic()))

    async def _ask(self, claims: Claims) -> bool:
        asked = self._clock.monotonic()
        ids = [claims.jti, *([claims.session] if claims.session else [])]
        barred = await self._users.barred(ids, claims.user if claims.ours else None)
        known = self._answers.get(claims.jti)
        if known is None or not known.barred:
            self._answers.put(claims.jti, Answer(barred, asked))
        return barred
