"""Asks one thing of the API: repeats, tokens, renewed sessions."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random

from cartrita.client import calls
from cartrita.client.models import Account, OpenedSession, Session
from cartrita.client.patience import Patience
from cartrita.client.problems import checked, read
from cartrita.client.sessions import MemorySessions, Sessions
from cartrita.client.steps import Alone, Call, Flow, Reply
from cartrita.clock import Clock, SystemClock, new_random
from cartrita.errors import (
    AuthenticationFailed,
    CartritaError,
    ChannelLost,
    NetworkFailed,
    RateLimitExceeded,
)

GRACE = 5.0
"""Seconds past the caller's patience in which an answer on its way may still arrive."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who can sign in again."""

    email: str
    password: str = field(repr=False)


class Exchange:
    """Sends calls and keeps the session they are authorized with. Does no I/O.

    Args:
        timeout: Seconds a caller waits who names no other number.
        retries: Failures in a row that are repeated.
        login: For another session when one is refused.
        sessions: Where the session is kept; in memory by default.
    """

    def __init__(
        self,
        timeout: float,
        retries: int,
        login: Login | None = None,
        sessions: Sessions | None = None,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        self._timeout, self._retries, self._login = timeout, retries, login
        self._sessions = sessions or MemorySessions()
        self._clock, self._random = clock or SystemClock(), random or new_random()

    def patience(self, seconds: float | None = None) -> Patience:
        """Return the patience of a caller; None means the usual one."""
        length = self._timeout if seconds is None else seconds
        return Patience(length, self._retries, self._clock, self._random)

    def ask(self, call: Call, patience: Patience | None = None) -> Flow[Reply]:
        """Send a call until it is answered or its caller's patience ends."""
        patience = patience or self.patience(None)
        while True:
            try:
                return (yield from self.once(call, patience))
            except CartritaError as error:
                yield patience.after(error, repeatable=call.repeatable)

    def once(self, call: Call, patience: Patience) -> Flow[Reply]:
        """Send a call; when its token is refused, once more with another one."""
        call = replace(call, timeout=min(call.timeout, max(patience.left, 0.0) + GRACE))
        if not call.private:
            return checked((yield call))
        session = self._sessions.read()
        if session is None:
            session = yield from self._renewed(None, patience)
        with suppress(AuthenticationFailed):
            return checked((yield _authorized(call, session)))
        session = yield from self._renewed(session.token, patience)
        return checked((yield _authorized(call, session)))

    def enter(self, login: Login, call: Call) -> Flow[Account]:
        """Open a session with a call that registers or signs in."""
        opened = read(OpenedSession, (yield from self.ask(call)))
        self._login = login
        self._sessions.write(Session(token=opened.token, refresh_token=opened.refresh_token))
        return opened.user

    def leave(self) -> Flow[bool]:
        """End the session that is kept, here and at the server; False when there is none."""
        if self._sessions.read() is None:
            return False
        self._login = None
        with suppress(AuthenticationFailed):  # it had ended already
            yield from self.ask(calls.ME)  # a token that expired cannot end its session
            session = self._sessions.read()
            assert session is not None
            yield from self.ask(calls.sign_out(session.refresh_token))
        self._sessions.clear()
        return True

    def _renewed(self, refused: str | None, patience: Patience) -> Flow[Session]:
        yield Alone(self._renew(refused, patience))
        session = self._sessions.read()
        assert session is not None
        return session

    def _renew(self, refused: str | None, patience: Patience) -> Flow[None]:
        with self._sessions.exclusive():
            session = self._sessions.read()
            if session is not None and session.token != refused:
                return  # somebody else did it while this one waited for its turn
            fresh = yield from self._refreshed(session, patience)
            if fresh is None:
                fresh = yield from self._signed_in(patience)
            self._sessions.write(fresh)

    def _refreshed(self, session: Session | None, patience: Patience) -> Flow[Session | None]:
        """Spend the refresh token; None when that gives no session."""
        if session is None or session.refresh_token is None:
            return None
        # Spent from here on, whatever comes, unless the server cannot have seen it.
        self._sessions.write(Session(token=session.token))
        try:
            reply = yield from self.ask(calls.refreshment(session.refresh_token), patience)
        except CartritaError as error:
            untouched = isinstance(error, NetworkFailed | RateLimitExceeded)
            if untouched and not isinstance(error, ChannelLost):
                self._sessions.write(session)
                raise
            if self._login is None and not isinstance(error, AuthenticationFailed):
                raise
            return None
        return read(Session, reply)

    def _signed_in(self, patience: Patience) -> Flow[Session]:
        if self._login is None:
            raise AuthenticationFailed(
                "The server accepts no session of this client: sign in, or give another token."
            )
        call = calls.sign_in(self._login.email, self._login.password)
        return read(Session, (yield from self.ask(call, patience)))


def _authorized(call: Call, session: Session) -> Call:
    return replace(call, headers={**call.headers, "Authorization": f"Bearer {session.token}"})
