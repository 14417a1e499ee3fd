"""How many requests one principal, and all together, may make in a window.

Each process counts by itself and settles with the shared counters every `SETTLE_EVERY`
seconds, or as soon as it has let in a hundredth of the limit without telling. So a request
costs no round trip but every hundredth of the limit. The tolerance: with one replica the
limit is exact; with R of them at most R hundredths of it (at least R requests) are let in
beyond. While the counters are away, each replica counts for itself.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from cartrita.clock import Clock
from cartrita.errors import RateLimitExceeded, Reason, ServiceUnavailable
from cartrita.storage.counters import SLOTS, Ask, Counted, Counters

SETTLE_EVERY = 0.1
AWAY = 1.0
"""Seconds for which counters that did not answer are not asked again."""

MOST_BUCKETS = 10_000
"""Buckets remembered here; what a forgotten one held, the counters know."""

_SHARE = 100
_ALL = "all"

Name = Literal["principal", "shared", "address", "account"]

_REFUSALS: Mapping[Name, tuple[Reason, str]] = {
    "principal": (Reason.PRINCIPAL_QUOTA, "You have made {} requests"),
    "shared": (Reason.SHARED_QUOTA, "All together have made {} requests"),
    "address": (Reason.ADDRESS_QUOTA, "From your address came {} requests without a token"),
    "account": (Reason.ACCOUNT_QUOTA, "Signing in to this account failed {} times"),
}
"""How a quota's refusal begins, and its reason."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The most requests in one window.

    Attributes:
        name: Whose it is, and as the answers' headers call it.
        window: Seconds.
    """

    name: Name
    limit: int
    window: float

    @property
    def slot_ms(self) -> int:
        """Milliseconds of the parts that are counted apart."""
        return max(1, round(self.window * 1000) // SLOTS)

    @property
    def slack(self) -> int:
        """Requests that may be let in before the counters hear of them."""
        return max(1, self.limit // _SHARE)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of a quota.

    Attributes:
        reset: Seconds after which there is more.
    """

    quota: Quota
    remaining: int
    reset: float


class Bucket:
    """One bucket as this process knows it.

    Attributes:
        told: Requests let in here that the counters have not heard of.
        waiting: Who waits for the counters' word and was not passed on yet.
    """

    __slots__ = (
        "_counts",
        "_edge",
        "_flying",
        "_length",
        "_passed",
        "_settled",
        "key",
        "quota",
        "told",
        "waiting",
    )

    def __init__(self, key: str, quota: Quota) -> None:
        self.key, self.quota = key, quota
        self.told, self.waiting = 0, list[asyncio.Future[bool]]()
        self._counts: dict[int, int] = {}
        self._settled = self._flying = self._passed = 0
        self._length = quota.slot_ms / 1000
        self._edge = 0.0

    def used(self, now: float) -> int:
        """Return the requests that may count against the window that ends now."""
        if now >= self._edge:
            self._roll(now)
        return self._settled + self.told + self._flying + self._passed + len(self.waiting)

    def _roll(self, now: float) -> None:
        slot = int(now / self._length)
        self._edge = (slot + 1) * self._length
        self._counts = {at: n for at, n in self._counts.items() if slot - SLOTS <= at}
        self._settled = sum(self._counts.values())

    def reset(self, now: float) -> float:
        """Return the seconds until something that was used comes back."""
        slot = int(now / self._length)
        oldest = min((at for at, n in self._counts.items() if n > 0), default=slot)
        return (oldest + SLOTS + 1) * self._length - now

    def standing(self, now: float) -> Standing:
        """Return what is left."""
        left = max(0, self.quota.limit - self.used(now))
        return Standing(self.quota, left, self.reset(now))

    def ask(self) -> tuple[Ask, list[asyncio.Future[bool]]]:
        """Return what to tell and ask the counters, and who waits; `learn` or `fend` follows."""
        waiting, self.waiting = self.waiting, []
        self._flying, self._passed, self.told = self.told, len(waiting), 0
        quota = self.quota
        return Ask(self.key, self._flying, self._passed, quota.limit, quota.slot_ms), waiting

    def learn(self, counted: Counted) -> int:
        """Take the counters' word; returns how many of those who waited are let in."""
        self._flying, self._passed, self._counts = 0, 0, dict(counted.counts)
        self._roll(counted.now)
        return counted.granted

    def fend(self, now: float) -> int:
        """Do without the counters: what they did not hear of counts here alone."""
        slot, asked = int(now / self._length), self._passed
        self._passed = 0
        granted = max(0, min(asked, self.quota.limit - self.used(now)))
        counts = {**self._counts, slot: self._counts.get(slot, 0) + self._flying + granted}
        return self.learn(Counted(granted, now, counts))

    @property
    def busy(self) -> bool:
        """Whether the counters have not heard all yet."""
        return bool(self.told or self._flying or self._passed or self.waiting)


class Limiter:
    """Lets requests in. Lives in every process that has a door; belongs to one event loop.

    Args:
        clock: Ours; the counters' time is learned from their answers.
        principal: Of each principal; None for no limit.
        everybody: Of all together; None for no limit.
        counters: What the replicas share; None where there is one.
    """

    def __init__(
        self,
        clock: Clock,
        principal: Quota | None = None,
        everybody: Quota | None = None,
        counters: Counters | None = None,
    ) -> None:
        self._clock, self._counters = clock, counters
        self._principal = principal
        self._all = Bucket(_ALL, everybody) if everybody else None
        self._buckets: dict[str, Bucket] = {}
        self._dirty: dict[str, Bucket] = {}
        self._offset = clock.now() - clock.monotonic()
        self._asked_again = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._settling: asyncio.Task[None] | None = None

    @property
    def limited(self) -> bool:
        """Whether principals have a limit."""
        return self._principal is not None

    async def take(self, user: str) -> None:
        """Let one request of a principal in.

        Raises:
            RateLimitExceeded: There is no room; it says when there will be.
        """
        mine = self._bucket(user)
        if mine and not await self._let_in(mine):
            self._refuse(mine)
        if self._all and not await self._let_in(self._all):
            self.give_back(user)
            self._refuse(self._all)

    def give_back(self, user: str) -> None:
        """Take back what was taken last, as if it had not been."""
        mine = self._bucket(user)
        if mine:
            mine.told -= 1
            self._note(mine)

    def check(self, user: str) -> None:
        """Refuse a principal that has nothing left, without taking anything.

        Raises:
            RateLimitExceeded: There is no room, as far as we know here.
        """
        for bucket in (self._bucket(user), self._all):
            if bucket and bucket.used(self._now()) >= bucket.quota.limit:
                self._refuse(bucket)

    def standing(self, user: str) -> Standing | None:
        """Return what is left to a principal; None without a limit."""
        mine = self._bucket(user)
        return mine.standing(self._now()) if mine else None

    def _refuse(self, bucket: Bucket) -> NoReturn:
        quota = bucket.quota
        reason, said = _REFUSALS[quota.name]
        raise RateLimitExceeded(
            f"{said.format(quota.limit)} within {quota.window:g} seconds, which is the limit.",
            reason,
            retry_after=bucket.reset(self._now()),
        )

    def _now(self) -> float:
        """Return the counters' time."""
        return self._clock.monotonic() + self._offset

    def _bucket(self, user: str) -> Bucket | None:
        bucket = self._buckets.get(user)
        if bucket is None and self._principal:
            if len(self._buckets) >= MOST_BUCKETS:
                self._forget()
            bucket = self._buckets[user] = Bucket(f"of:{user}", self._principal)
        return bucket

    def _forget(self) -> None:
        """Forget a tenth of the buckets, the oldest, unless they are at work."""
        idle = [user for user, bucket in self._buckets.items() if not bucket.busy]
        for user in idle[: MOST_BUCKETS // 10]:
            del self._buckets[user]

    async def _let_in(self, bucket: Bucket) -> bool:
        if bucket.used(self._now()) >= bucket.quota.limit:
            return False
        if bucket.told < bucket.quota.slack:
            bucket.told += 1
            self._note(bucket)
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        bucket.waiting.append(future)
        self._note(bucket)
        self._settle_now()
        return await future

    def _note(self, bucket: Bucket) -> None:
        """See to it that a bucket is settled soon."""
        self._dirty[bucket.key] = bucket
        if self._alarm is None and self._settling is None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(SETTLE_EVERY, self._settle_now)

    def _settle_now(self) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        if self._settling is None:
            self._settling = asyncio.get_running_loop().create_task(self._settle())

    async def _settle(self) -> None:
        """Settle what is dirty, and again for as long as somebody waits."""
        try:
            while self._dirty:
                await self._round()
                if not any(bucket.waiting for bucket in self._dirty.values()):
                    break
        finally:
            self._settling = None
            for bucket in self._dirty.values():
                self._note(bucket)
                break

    async def _round(self) -> None:
        buckets, self._dirty = list(self._dirty.values()), {}
        told = [bucket.ask() for bucket in buckets]
        answers: list[Counted] | None = None
        try:
            answers = await self._ask([ask for ask, _ in told])
        finally:  # whatever went wrong, nobody waits for ever
            for place, (bucket, (_, waiting)) in enumerate(zip(buckets, told, strict=True)):
                granted = bucket.learn(answers[place]) if answers else bucket.fend(self._now())
                for rank, future in enumerate(waiting):
                    if not future.done():  # whoever left has used up what was granted
                        future.set_result(rank < granted)

    async def _ask(self, asks: list[Ask]) -> list[Counted] | None:
        if self._counters is None or self._clock.monotonic() < self._asked_again:
            return None
        try:
            answers = await self._counters.settle(asks)
        except ServiceUnavailable:
            self._asked_again = self._clock.monotonic() + AWAY
            return None
        self._offset = answers[-1].now - self._clock.monotonic()
        return answers

    async def close(self) -> None:
        """Tell the counters what they have not heard yet."""
        if self._dirty:
            self._settle_now()
        if self._settling:
            _, hanging = await asyncio.wait((self._settling,), timeout=AWAY)
            for settling in hanging:  # whoever waits for it is answered all the same
                settling.cancel()
                await asyncio.wait((settling,))
        if self._alarm:
            self._alarm.cancel()
        if self._counters:
            await self._counters.close()
