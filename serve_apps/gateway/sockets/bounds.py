"""What sockets may take, and who has how many."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from serve_apps.asgi.guard import OLDER_DOOR

POLICY, TOO_BIG, FAILED, LATER = 1008, 1009, 1011, 1013
"""Close codes of RFC 6455: a rule was broken, a message is too long, we failed, try again later."""

NORMAL = 1000


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of sockets.

    Attributes:
        connections: Sockets of this gateway.
        connections_each: Sockets of one user on this gateway.
        message_bytes: Of one message.
        rate: Messages a second that one socket may send for long.
        burst: Messages that it may send at once.
        subscriptions: Tasks that one socket may follow at once.
        commands: Of one socket, under way at once.
        auth_timeout: Seconds until a socket must have said who it is.
        slow: Seconds that a client may take to read one message.
        idle: Seconds without a message, either way, after which a socket is closed.
        check: Seconds between two looks at a socket's token.
        origins: Of pages that may open sockets, beside our own.
        older_origins: Of pages that may do so at the older API's port.
        redis_url: Where several gateways tell each other of Socket.IO's clients; those may not
            poll then, because each poll could come to another gateway.
    """

    connections: int = 1000
    connections_each: int = 50
    message_bytes: int = 1 << 20
    rate: float = 100.0
    burst: int = 500
    subscriptions: int = 100
    commands: int = 64
    auth_timeout: float = 5.0
    slow: float = 10.0
    idle: float = 600.0
    check: float = 5.0
    origins: tuple[str, ...] = ()
    older_origins: tuple[str, ...] = ()
    redis_url: str | None = None

    def welcomes(self, headers: dict[bytes, bytes]) -> bool:
        """Tell whether a page of this origin may open a socket; programs have none."""
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin or "*" in self.origins or origin in self.origins:
            return True
        if origin in self.older_origins and headers.get(OLDER_DOOR[0]) == OLDER_DOOR[1]:
            return True
        try:
            return urlsplit(origin).netloc == headers.get(b"host", b"").decode("latin-1")
        except ValueError:
            return False


class Hangup(Exception):
    """The socket must be closed.

    Args:
        code: RFC 6455's.
        why: At most 123 bytes, which the client reads.
    """

    def __init__(self, code: int, why: str) -> None:
        super().__init__(code, why)
        self.code, self.why = code, why


class Tally:
    """Counts messages against a rate: a bucket that fills with time.

    Knows no clock: `now` is in seconds of any clock that only grows.
    """

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._at = float(burst), now

    def take(self, now: float) -> bool:
        """Count one message; False when it is one too many."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Census:
    """Counts the sockets of one gateway."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds, self.total = bounds, 0
        self._each: Counter[str] = Counter()

    @contextmanager
    def seat(self) -> Iterator[None]:
        """Count a socket for as long as it is open.

        Raises:
            Hangup: There are too many.
        """
        if self.total >= self._bounds.connections:
            raise Hangup(LATER, "too many sockets are open here")
        self.total += 1
        try:
            yield
        finally:
            self.total -= 1

    def enter(self, user: str) -> None:
        """Count a socket of a user, who `leave`s with it.

        Raises:
            Hangup: The user has too many.
        """
        if self._each[user] >= self._bounds.connections_each:
            raise Hangup(LATER, "you have too many sockets open")
        self._each[user] += 1

    def leave(self, user: str) -> None:
        """Count one less."""
        self._each[user] -= 1
        if not self._each[user]:
            del self._each[user]
