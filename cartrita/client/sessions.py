"""Where a client keeps its session."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from cartrita.client.models import Session


class Sessions(Protocol):
    """Keeps one session, perhaps for several processes."""

    def read(self) -> Session | None:
        """Return the session, if there is one."""

    def write(self, session: Session) -> None:
        """Keep a session in place of the one before."""

    def clear(self) -> None:
        """Keep none any more."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other processes from renewing it.

        A refresh token that two of them spend is taken for a stolen one: the server ends the
        whole family.
        """


class MemorySessions:
    """Keeps a session for as long as its client lives."""

    def __init__(self, session: Session | None = None) -> None:
        self._session = session

    def read(self) -> Session | None:
        """Return the session, if there is one."""
        return self._session

    def write(self, session: Session) -> None:
        """Keep a session."""
        self._session = session

    def clear(self) -> None:
        """Keep none any more."""
        self._session = None

    def exclusive(self) -> AbstractContextManager[None]:
        """Do nothing: a client renews one at a time anyway."""
        return nullcontext()
