"""Budgets: how much may be spent, by whom, and until when."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

from cartrita.cost.price import nano

DAY = 86_400.0
"""Seconds of a period; days begin at midnight in UTC."""

CACHE_HIT = "cacheHit"
"""The measure of a response that a cache gave, and that cost nothing."""

MODEL_USED = "model"
"""The kind of a use of a model; others cost nothing."""

SEPARATOR = "\x1f"
"""Between the ids of budgets where they travel in one text; in none of them."""


class Period(StrEnum):
    """How long a budget lasts."""

    DAY = "day"
    TOTAL = "total"

    def ends(self, now: float) -> float | None:
        """Return the Unix second at which a period that lasts now is over; None for never."""
        return None if self is Period.TOTAL else (now // DAY + 1) * DAY


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What a budget holds, in nano-USD and in tokens; None is no limit."""

    nano_usd: int | None = None
    tokens: int | None = None
    period: Period = Period.TOTAL


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the budgets hold that nobody set, by their kind; kinds without one have no limit."""

    kinds: Mapping[str, Ceiling] = field(default_factory=dict)

    @classmethod
    def named(cls, kinds: Mapping[str, tuple[float, int, str]]) -> "Defaults":
        """Return those that settings name, where 0 is no limit.

        Args:
            kinds: USD, tokens and period, by the kind.
        """
        found = {
            kind: Ceiling(nano(usd) if usd else None, tokens or None, Period(period))
            for kind, (usd, tokens, period) in kinds.items()
            if usd or tokens
        }
        return cls(found)

    def of(self, budget: str) -> Ceiling | None:
        """Return what a budget such as `user:0192…` holds unless somebody sets it."""
        return self.kinds.get(budget.partition(":")[0])


@dataclass(frozen=True, slots=True)
class Balance:
    """A budget as it stands.

    Attributes:
        id: Such as `user:0192…`.
        own: Somebody set it; others follow the settings.
        resets_at: Unix seconds at which what is used counts no more.
    """

    id: str
    ceiling: Ceiling
    used_nano: int = 0
    used_tokens: int = 0
    reserved_nano: int = 0
    reserved_tokens: int = 0
    own: bool = True
    resets_at: float | None = None

    @classmethod
    def empty(cls, budget: str, ceiling: Ceiling, now: float, *, own: bool) -> "Balance":
        """Return a budget of which nothing is used."""
        return cls(budget, ceiling, own=own, resets_at=ceiling.period.ends(now))

    def at(self, now: float) -> "Balance":
        """Return it as it is once the periods are over that have ended by then."""
        if self.resets_at is None or self.resets_at > now:
            return self
        ends = self.ceiling.period.ends(now)
        return replace(self, used_nano=0, used_tokens=0, resets_at=ends)

    def holding(self, ceiling: Ceiling, now: float, *, own: bool) -> "Balance":
        """Return it with another ceiling, and with what is used."""
        same = ceiling.period is self.ceiling.period
        ends = self.resets_at if same else ceiling.period.ends(now)
        return replace(self, ceiling=ceiling, own=own, resets_at=ends)

    def fits(self, nano_usd: int, tokens: int) -> bool:
        """Tell whether so much more can be promised."""
        most = self.ceiling
        usd = self.used_nano + self.reserved_nano + nano_usd
        count = self.used_tokens + self.reserved_tokens + tokens
        return not (
            (nano_usd > 0 and most.nano_usd is not None and usd > most.nano_usd)
            or (tokens > 0 and most.tokens is not None and count > most.tokens)
        )

    def promised(self, nano_usd: int, tokens: int) -> "Balance":
        """Return it with so much more, or less, promised."""
        usd, count = self.reserved_nano + nano_usd, self.reserved_tokens + tokens
        return replace(self, reserved_nano=usd, reserved_tokens=count)

    def charged(self, nano_usd: int, tokens: int) -> "Balance":
        """Return it with so much more used."""
        usd, count = self.used_nano + nano_usd, self.used_tokens + tokens
        return replace(self, used_nano=usd, used_tokens=count)

    @property
    def pressure(self) -> float:
        """How full it is, 0 to 1."""
        shares = [0.0]
        if self.ceiling.nano_usd:
            shares.append((self.used_nano + self.reserved_nano) / self.ceiling.nano_usd)
        if self.ceiling.tokens:
            shares.append((self.used_tokens + self.reserved_tokens) / self.ceiling.tokens)
        return min(max(shares), 1.0)


class Line(NamedTuple):
    """What one task used of one model.

    Attributes:
        model: Empty for what no model was used for.
        tasks: 1 in one of a task's lines, 0 in the others.
        calls: How often the model was used.
        cached: 1 where a cache gave the answer.
    """

    model: str
    tasks: int = 0
    calls: int = 0
    cached: int = 0
    nano_usd: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Bill:
    """What a task is charged, and for what."""

    user: str
    tenant: str
    agent: str
    task_type: str
    lines: tuple[Line, ...]


def itemised(
    used: Mapping[str, tuple[int, int, int]],
    total: tuple[int, int],
    model: str = "",
    *,
    cached: bool = False,
) -> tuple[Line, ...]:
    """Return the lines of a bill that add up to what a task is charged.

    Args:
        used: Calls, nano-USD and tokens, by model, as they were metered.
        total: Nano-USD and tokens that the task is charged.
        model: Whose what was not metered is, where no other is known.
        cached: Whether a cache gave the answer.
    """
    lines = [Line(name, 0, *_metered(row)) for name, row in used.items()]
    nano_usd, tokens = (total[n] - sum(row[n + 1] for row in used.values()) for n in (0, 1))
    if nano_usd or tokens or not lines:
        lines.append(Line("" if lines else model, 0, 0, 0, nano_usd, tokens))
    last = lines[-1]
    return (*lines[:-1], last._replace(tasks=1, cached=int(cached)))


def _metered(row: tuple[int, int, int]) -> tuple[int, int, int, int]:
    calls, nano_usd, tokens = row
    return calls, 0, nano_usd, tokens


@dataclass(frozen=True, slots=True)
class Spending:
    """What was charged under one name: a model's, an agent's, a user's, or a day."""

    name: str
    tasks: int
    calls: int
    cached: int
    nano_usd: int
    tokens: int


def added_up(named: Iterable[tuple[str, Line]]) -> Iterator[Spending]:
    """Yield the sums of lines under the same name, in the order of the names."""
    sums: dict[str, list[int]] = {}
    for name, line in named:
        row = sums.setdefault(name, [0] * 5)
        for place, value in enumerate(line[1:]):
            row[place] += value
    for name in sorted(sums):
        tasks, calls, cached, nano_usd, tokens = sums[name]
        yield Spending(name, tasks, calls, cached, nano_usd, tokens)


class Tab:
    """What the attempts at a task spent, each counted once: as it said, or as was heard of it."""

    def __init__(self) -> None:
        self._said: dict[int, tuple[float, int]] = {}
        self._heard: dict[int, tuple[int, int]] = {}

    def note(self, attempt: int, data: Mapping[str, Any] | Sequence[Any]) -> None:
        """Note how an attempt ended, or rows of what was heard of it: time, kind and data."""
        if isinstance(data, Mapping):
            if "costUsd" in data:
                self._said[attempt] = (data["costUsd"], data["tokensUsed"])
            return
        nano_usd, tokens = self._heard.get(attempt, (0, 0))
        for _, kind, use in data:
            if kind == MODEL_USED:
                nano_usd, tokens = nano_usd + use["nanoUsd"], tokens + _both(use)
        self._heard[attempt] = (nano_usd, tokens)

    def total(self, *, last: int = 0) -> tuple[float, int]:
        """Return USD and tokens; what was heard of the `last` attempt stands in its response."""
        known = {*self._said, last}
        heard = [row for attempt, row in self._heard.items() if attempt not in known]
        usd = sum(row[0] for row in heard) / 10**9 + sum(row[0] for row in self._said.values())
        return usd, sum(row[1] for row in (*heard, *self._said.values()))


def _both(use: Mapping[str, Any]) -> int:
    tokens: int = use["tokensIn"] + use["tokensOut"]
    return tokens
