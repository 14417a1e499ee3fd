"""The line outside a full mailbox: when the refused come again. Pure: no clock, no I/O.

A caller that is refused is told to come again in so many seconds, and gets a place: when it
comes back with the same key after that time, it goes in before fresh callers. Places are
given out at a pace a little below the rate at which tasks end, so the promises can be kept
even if everybody comes back. Of the room that there is, only as much is held for them as is
due about now, times the measured share of callers that do come back; fresh callers get the
rest at once, so nothing idles when nobody comes back.

Each tenant has a line of its own, and those with callers in line share the pace; one that
asks for less than its share does not meet the line at all. Whoever waits a whole number of
seconds comes back at the fraction of a second at which it was refused. So each fraction has
a pace of its own, too, or a crowd that was refused at once would come back at once.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass, field

PACE = 0.9
"""Places given out for each task that ends: the rest absorbs jitter."""

LONGEST = 3600
"""Seconds; who would have to wait longer is told this and gets no place."""

PLACES = 65_536
"""Places at one time, about 26 MB."""

GRACE = 5.0
"""Seconds after its time that a place is kept."""

SHARE = 9
"""Times the free places that one tenant may have, so that others find some, too."""

CREDIT = 1.0
"""Seconds of its share that a tenant not in line may use at once."""

SOON = 8
"""Ends that those who are due come before, at least, to have room held for them."""

TICKS = 32
"""Into so many parts is a second divided when places are counted."""

COLUMNS = 32
"""The most fractions of a second that have a pace of their own."""

SEEN = 100
"""Over so many places the share of callers that come back is averaged."""


class DrainRate:
    """How many tasks end in a second while others wait: an estimate of capacity.

    Only what ends in a row counts, from an end on, while something waited all along: a short
    wait tells nothing, because tasks that began together end together. It looks back over a
    fifth of `seconds` of such time, further when few tasks ended in that, and beyond `seconds`
    when hardly any did.
    """

    _many, _few = 16, 4

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._ends: deque[tuple[float, int]] = deque(maxlen=128)
        self._waits, self._worked = False, 0.0
        self._row, self._uncounted = 0, 0
        self._since: float | None = None

    def busy(self, busy: bool) -> None:  # noqa: FBT001 - its only question
        """Note whether anything waits from now on."""
        self._waits = busy
        if not busy:
            self._since = None

    def count(self, now: float) -> None:
        """Note that a task ended, before another takes its place."""
        if not self._waits:
            self._since = None
        elif self._since is None:
            self._since, self._row, self._uncounted = now, 0, 0
        else:
            self._row, self._uncounted = self._row + 1, self._uncounted + 1
            self._credit(now, self._since)

    def _credit(self, now: float, since: float) -> None:
        """Count what ended since then, once it is a row."""
        long = self._row >= self._few and now - since >= self._seconds / 40
        if not (long or self._row > self._uncounted):
            return
        self._worked += now - since
        tick = self._seconds / 100
        at, ends = self._ends[-1] if self._ends else (-1.0, 0)
        if at // tick == self._worked // tick:
            self._ends[-1] = (self._worked, ends + self._uncounted)
        else:
            self._ends.append((self._worked, self._uncounted))
        self._since, self._uncounted = now, 0

    def rate(self, now: float) -> float:
        """Return the ends per second; 0 while too little is known."""
        since = self._since if self._row > self._uncounted else None
        worked = self._worked + (now - since if since is not None else 0.0)
        total, first = 0, 0.0
        for at, ends in reversed(self._ends):
            span = worked - at
            if (span >= self._seconds / 5 and total >= self._many) or (
                span >= self._seconds and total >= self._few
            ):
                first = at
                break
            total += ends
        return total / max(worked - first, 1e-3)


@dataclass(slots=True, eq=False)
class _Place:
    """A promise.

    Attributes:
        due: When its caller may come.
        late: It was promised again, because there was no room when its caller came.
    """

    key: str
    tenant: str
    due: float
    late: bool


@dataclass(slots=True)
class _Tick:
    """The places that are due in one part of a second: all there were, and those left."""

    promised: int = 0
    places: set[_Place] = field(default_factory=set)


@dataclass(slots=True)
class _Queue:
    """The line of one tenant.

    Attributes:
        after: The end of the line; for a tenant not in line, what it has used of its share.
        columns: When the next place is due at the earliest, for each fraction of a second.
        places: How many places of it are outstanding.
    """

    after: float
    columns: list[float] = field(default_factory=list)
    places: int = 0

    def next(self, now: float, pace: float, clump: float) -> int:
        """Return after how many seconds the next place is due, and go on by one.

        Over `LONGEST` there is no place, and the line does not go on.

        Args:
            now: The present time.
            pace: Places per second.
            clump: How many may come back at once.
        """
        self._divide(now + 1 / pace, pace / clump)
        width = len(self.columns)
        column = int(now % 1.0 * width)
        due = max(self.columns[column], now + 1)
        after = math.ceil(due - now)
        if after <= LONGEST:
            self.columns[column] = due + width / pace
            self.after = max(self.after, due)
        return after

    def _divide(self, soonest: float, wanted: float) -> None:
        """Have about so many columns, a power of two; a small change of pace changes nothing."""
        width = 1 << (int(min(max(wanted, 1), COLUMNS)).bit_length() - 1)
        old = self.columns
        if not len(old) / 2 <= width <= len(old):
            mean = sum(max(after, soonest) for after in old) / len(old) if old else soonest
            self.columns = [mean] * width


class Line:
    """Who was refused, and when they may come again.

    Args:
        places: The most callers that have a place; others wait longest and have none.
    """

    def __init__(self, places: int = PLACES) -> None:
        self._most = places
        self._places: dict[tuple[str, str], _Place] = {}
        self._queues: dict[str, _Queue] = {}
        self._ticks: dict[int, _Tick] = {}
        self._order: list[int] = []
        self._lined = self._late = 0
        self._crowd = 64
        self._latest = 0.0
        self._returning = 0.9
        self._rate = self._depth = 0.0
        self._passed = self._passed_at = 0.0

    def __len__(self) -> int:
        return len(self._places)

    @property
    def returning(self) -> float:
        """The share of those with places that lately came back for them."""
        return self._returning

    def admits(self, now: float, key: str, tenant: str, room: int) -> bool:
        """Return whether a caller may go in, and take its place out of the line if it may.

        Args:
            now: The present time, in monotonic seconds.
            key: What tells that a caller was here before; empty for nothing.
            tenant: Whose line it stands in.
            room: How many of its tenant's tasks the mailbox would take now.
        """
        if room > 0 and not self._order:  # nobody was refused of late
            return True
        self._expire(now)
        if room <= 0:
            return False
        place = self._places.get((tenant, key))
        due = place is not None and place.due <= now
        if not due and room <= round(self._held(now)) and not self._entitled(now, tenant):
            return False
        if place is not None:
            self._leave(now, place)
        return True

    def refuse(self, now: float, key: str, tenant: str, waiting: int, rate: float) -> int:
        """Return the seconds after which a caller that did not get in shall come again.

        Args:
            now: The present time, in monotonic seconds.
            key: What tells that a caller was here before; empty for nothing.
            tenant: Whose line it stands in.
            waiting: How many tasks wait.
            rate: How many end in a second; 0 for unknown.
        """
        self._expire(now)
        if rate <= 0:
            return 1
        self._rate = rate
        self._depth = max(waiting, self._depth + (waiting - self._depth) / SEEN)
        place = self._places.get((tenant, key))
        if place is not None and place.due > now:
            return math.ceil(place.due - now)
        if place is not None:
            self._leave(now, place)
            after = math.ceil(1 + self._late / (PACE * rate))
        elif not (key and self._vacant(tenant)):
            return self._end(now, tenant)
        else:
            after = self._queue(now, tenant).next(now, self._pace(now, tenant), self._clump)
        if after > LONGEST:
            return LONGEST
        self._enter(_Place(key, tenant, now + after, late=place is not None))
        return after

    def _vacant(self, tenant: str) -> bool:
        """Return whether a tenant may have one more place: as many as `SHARE` times the rest."""
        queue = self._queues.get(tenant)
        return (queue.places if queue else 0) < SHARE * (self._most - len(self._places))

    def _end(self, now: float, tenant: str) -> int:
        """Return the seconds until the end of a tenant's line."""
        queue = self._queues.get(tenant)
        end = queue.after if queue and queue.places else self._latest
        return min(max(1, math.ceil(end - now)), LONGEST)

    @property
    def _clump(self) -> float:
        """How many that come at once the mailbox can take."""
        return max(self._depth / 4, 1.0)

    def _pace(self, now: float, tenant: str) -> float:
        """Return the places per second of one tenant in line."""
        whole = PACE * self._rate
        lines = self._lined + (self._queues[tenant].places == 0)
        return max(whole - self._passing(now), whole / 10) / lines

    def _queue(self, now: float, tenant: str) -> _Queue:
        queue = self._queues.get(tenant)
        if queue is None:
            if len(self._queues) >= self._crowd:
                self._forget(now)
            queue = self._queues[tenant] = _Queue(now - CREDIT)
        return queue

    def _forget(self, now: float) -> None:
        """Forget tenants that have nobody in line and all their credit."""
        self._queues = {
            tenant: queue
            for tenant, queue in self._queues.items()
            if queue.places or queue.after > now - CREDIT
        }
        self._crowd = 2 * len(self._queues) + 64

    def _entitled(self, now: float, tenant: str) -> bool:
        """Return whether a tenant asks for less than its share, and take from it."""
        queue = self._queues.get(tenant)
        used = max(queue.after, now - CREDIT) if queue else now - CREDIT
        after = used + (self._lined + 1) / (PACE * self._rate)
        if (queue and queue.places) or after > now:
            return False
        self._queue(now, tenant).after = after
        self._passed = self._passing(now) + PACE * self._rate / SEEN
        self._passed_at = now
        return True

    def _passing(self, now: float) -> float:
        """Return how many a second went in as entitled."""
        return self._passed * math.exp((self._passed_at - now) * PACE * self._rate / SEEN)

    def _held(self, now: float) -> float:
        """Return how much room is held for those who are due before it would be free again."""
        if not self._places:
            return 0.0
        span = min(self._depth / self._rate, max(1.0, SOON / self._rate))
        first, last = int(now * TICKS), int((now + span) * TICKS)
        if last - first < len(self._order):
            ticks = [self._ticks[at] for at in range(first, last + 1) if at in self._ticks]
        else:
            ticks = [self._ticks[at] for at in self._order if first <= at <= last]
        return self._returning * sum(len(tick.places) for tick in ticks)

    def _enter(self, place: _Place) -> None:
        self._places[place.tenant, place.key] = place
        self._latest = max(self._latest, place.due)
        self._late += place.late
        number = int(place.due * TICKS)
        if number not in self._ticks:
            self._ticks[number] = _Tick()
            heapq.heappush(self._order, number)
        self._ticks[number].promised += 1
        self._ticks[number].places.add(place)
        queue = self._queues[place.tenant]
        queue.places += 1
        self._lined += queue.places == 1

    def _leave(self, now: float, place: _Place) -> None:
        del self._places[place.tenant, place.key]
        self._late -= place.late
        self._ticks[int(place.due * TICKS)].places.remove(place)
        queue = self._queues[place.tenant]
        queue.places -= 1
        if not queue.places:
            self._lined -= 1
            queue.after, queue.columns = min(queue.after, now), []

    def _expire(self, now: float) -> None:
        """Give up places whose callers did not come, and learn from it how many do."""
        last = int((now - GRACE) * TICKS)
        while self._order and self._order[0] < last:
            number = heapq.heappop(self._order)
            tick = self._ticks[number]
            came = 1 - len(tick.places) / tick.promised
            self._returning += (came - self._returning) * min(tick.promised / SEEN, 1.0)
            for place in list(tick.places):
                self._leave(now, place)
            del self._ticks[number]
