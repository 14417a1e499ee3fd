"""Keeps accounts' numbers and documents in this process."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cartrita.errors import NotFound, ResourceLimitExceeded
from cartrita.protocol.principal import Role
from cartrita.storage.memory import InMemoryUsers
from cartrita.storage.people import (
    GONE,
    LARGEST,
    Document,
    Outcome,
    Person,
)
from cartrita.storage.ports import Login


class InMemoryPeople:
    """Accounts by number, over those that `users` has.

    Args:
        users: Who there is.
        documents: What is deleted with an account.
    """

    def __init__(self, users: InMemoryUsers, documents: "InMemoryDocuments | None" = None) -> None:
        self._users, self._documents = users, documents
        self._changed: dict[str, float] = {}

    async def find(self, user_id: str) -> Person | None:
        """Return an account."""
        login = self._users.logins.get(user_id)
        return self._person(login) if login else None

    async def meant(self, login: str) -> Person | None:
        """Return the account with this address, or else the oldest of this name."""
        wanted = login.lower()
        found = [
            one
            for one in self._users.logins.values()
            if one.user.email == wanted
            or (one.user.name.lower() == wanted and not one.user.disabled)
        ]
        first = min(
            found,
            key=lambda one: (one.user.email != wanted, one.user.created_at, one.user.id),
            default=None,
        )
        return self._person(first) if first else None

    async def change(self, user_id: str, name: str, email: str, now: float) -> Person | None:
        """Replace name and address."""
        login = self._users.logins.get(user_id)
        if login is None or self._clash(login, name, email):
            return None
        self._users.logins[user_id] = replace(
            login, user=replace(login.user, name=name, email=email)
        )
        self._changed[user_id] = now
        return await self.find(user_id)

    async def page(self, limit: int, after: int = 0) -> list[Person]:
        """Return accounts in the order of their numbers."""
        people = [self._person(login) for login in self._users.logins.values()]
        ordered = sorted(people, key=lambda person: person.number)
        return [person for person in ordered if person.number > after][:limit]

    async def take_over(self, person: Person, password_hash: str, *, dry: bool = False) -> Outcome:
        """Keep an account of v2, with its number."""
        user = person.user
        here = self._users.logins.get(user.id)
        if here is None:
            if await self._users.find_login(user.email) is not None:
                return "taken"
            if not dry:
                await self._users.add(user, password_hash)
            return "added"
        ours = not here.password_hash.startswith("$2")
        same = (here.user.name, here.password_hash) == (user.name, password_hash)
        if ours or here.user.disabled or same:
            return "kept"
        if not dry:
            self._users.logins[user.id] = Login(replace(here.user, name=user.name), password_hash)
        return "updated"

    async def close(self, user_id: str, now: float) -> bool:
        """Empty an account and bar it for good."""
        login = self._users.logins.get(user_id)
        if login is None or login.user.email.endswith(GONE):
            return False
        emptied = replace(
            login.user, email=f"{user_id}@{GONE}", name="", role=Role.USER, disabled=True
        )
        self._users.logins[user_id] = Login(emptied, "")
        self._changed[user_id] = now
        self._users.drop_sessions(user_id)
        if self._documents:
            self._documents.drop(user_id)
        return True

    def _clash(self, mine: Login, name: str, email: str) -> bool:
        others = [one.user for one in self._users.logins.values() if one.user.id != mine.user.id]
        renamed = name.lower() != mine.user.name.lower()
        return any(
            other.email == email
            or (renamed and not other.disabled and other.name.lower() == name.lower())
            for other in others
        )

    def _person(self, login: Login) -> Person:
        user = login.user
        changed = self._changed.get(user.id, user.created_at)
        return Person(user, changed, login.password_hash.startswith("$2"))


class InMemoryDocuments:
    """Documents in dictionaries.

    Args:
        users: Whose they are.
    """

    def __init__(self, users: InMemoryUsers) -> None:
        self._users = users
        self._numbers = itertools.count(1)
        self._kept: dict[tuple[str, str], dict[int, Document]] = {}

    async def get(self, user_id: str, kind: str) -> Document | None:
        """Return the only document of a kind."""
        return self._kept.get((user_id, kind), {}).get(0)

    async def merge(
        self, user_id: str, kind: str, changes: Mapping[str, Any], now: float
    ) -> Document:
        """Put fields over those of the only document of a kind."""
        if await self._users.find(user_id) is None:
            raise NotFound("There is no such account.")
        before = await self.get(user_id, kind)
        value = _bounded({**(before.value if before else {}), **changes})
        made = before.made_at if before else now
        document = Document(0, value, made, now)
        self._kept.setdefault((user_id, kind), {})[0] = document
        return document

    async def add(
        self, user_id: str, kind: str, value: Mapping[str, Any], now: float, most: int
    ) -> Document | None:
        """Keep one more of a kind."""
        if await self._users.find(user_id) is None:
            return None
        document = Document(next(self._numbers), _bounded(value), now, now)
        held = self._kept.setdefault((user_id, kind), {})
        if len(held) >= most:
            return None
        held[document.number] = document
        return document

    async def list(self, user_id: str, kind: str) -> list[Document]:
        """Return those of a kind, newest first."""
        held = self._kept.get((user_id, kind), {})
        return sorted(held.values(), key=lambda one: one.number, reverse=True)

    async def remove(self, user_id: str, kind: str, number: int = 0) -> bool:
        """Forget one."""
        return self._kept.get((user_id, kind), {}).pop(number, None) is not None

    def drop(self, user_id: str) -> None:
        """Forget all of a user."""
        for key in [key for key in self._kept if key[0] == user_id]:
            del self._kept[key]


def _bounded(value: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(value, ensure_ascii=False)
    if len(text.encode("utf-8", "replace")) > LARGEST:
        raise ResourceLimitExceeded(f"What is kept for a user may have {LARGEST} bytes.")
    loaded: dict[str, Any] = json.loads(text)
    return loaded
