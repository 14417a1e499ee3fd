"""What keeps accounts as v2's clients know them: by numbers and by names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from cartrita.storage.ports import User

FIRST_NUMBER = 1_000_000_001
"""The number of the first account that did not come from v2. Those below are v2's to have given
out, whenever its accounts are taken over."""

GONE = "gone.invalid"
"""The domain of addresses that closed accounts have; nobody can have one there (RFC 2606)."""

Outcome = Literal["added", "updated", "kept", "taken"]


@dataclass(frozen=True, slots=True)
class Person:
    """An account as it is kept, which means with a number.

    Attributes:
        changed_at: Unix seconds.
        v2_password: Whether its hash is one of v2's, because nobody signed in here yet.
    """

    user: User
    changed_at: float
    v2_password: bool = False

    @property
    def number(self) -> int:
        """What v2's clients call it."""
        assert self.user.v2_id is not None
        return self.user.v2_id


class People(Protocol):
    """Accounts by number and name. Raises `ServiceUnavailable` where it cannot be reached."""

    async def find(self, user_id: str) -> Person | None:
        """Return an account."""

    async def meant(self, login: str) -> Person | None:
        """Return the account with this address, or else the oldest of this name; in any case.

        Names are not unique: who comes later with the same one takes nothing away. Accounts that
        are disabled have no name, and keep their address.
        """

    async def change(self, user_id: str, name: str, email: str, now: float) -> Person | None:
        """Replace name and address; None where the address or the name is another account's."""

    async def page(self, limit: int, after: int = 0) -> list[Person]:
        """Return accounts in the order of their numbers, behind the number `after`."""

    async def take_over(self, person: Person, password_hash: str, *, dry: bool = False) -> Outcome:
        """Keep an account of v2, with its number; or, if `dry`, only tell what would be done.

        Returns:
            `added`; `updated` where it was here and nobody had signed in: then name and hash are
            v2's of now; `kept` where nothing was to be done, or somebody had; `taken` where
            another account has the address.
        """

    async def close(self, user_id: str, now: float) -> bool:
        """Empty an account and bar it for good; False when there is none, or it is closed.

        All that is kept for it alone is deleted. An empty row stays, without name, address and
        password, so that tokens that name it are refused and its number is nobody else's.
        """


@dataclass(frozen=True, slots=True)
class Document:
    """Something small that is kept for a user.

    Attributes:
        number: Tells it from others of its kind; 0 for the only one there is.
        made_at: Unix seconds.
        changed_at: Unix seconds.
    """

    number: int
    value: Mapping[str, Any]
    made_at: float
    changed_at: float


class Documents(Protocol):
    """Small documents of users, by kind. Raises `ServiceUnavailable` where it is away.

    Raises `ResourceLimitExceeded` for one that has more than `LARGEST` bytes of JSON.
    """

    async def get(self, user_id: str, kind: str) -> Document | None:
        """Return the only document of a kind."""

    async def merge(
        self, user_id: str, kind: str, changes: Mapping[str, Any], now: float
    ) -> Document:
        """Put fields over those of the only document of a kind, in one step; make it if need be.

        Raises:
            NotFound: There is no such account.
        """

    async def add(
        self, user_id: str, kind: str, value: Mapping[str, Any], now: float, most: int
    ) -> Document | None:
        """Keep one more of a kind, numbered; None when its user has `most`, or is no account."""

    async def list(self, user_id: str, kind: str) -> list[Document]:
        """Return those of a kind, newest first."""

    async def remove(self, user_id: str, kind: str, number: int = 0) -> bool:
        """Forget one; False when there is none."""


LARGEST = 16 * 1024
"""Bytes of a document."""
