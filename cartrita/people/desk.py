"""Accounts at v2's counter: register, sign in, change, close."""

from dataclasses import dataclass
from typing import NamedTuple

from cartrita.auth.address import normalised
from cartrita.auth.claims import Claims
from cartrita.auth.identity import EMAIL_TAKEN, Identity, Session, plain_name
from cartrita.clock import Clock
from cartrita.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    InvalidParameters,
    NotFound,
)
from cartrita.protocol.principal import Role
from cartrita.storage.people import Documents, People, Person
from cartrita.storage.threads import History

NAME_TAKEN, WEAK = "NAME_TAKEN", "WEAK_PASSWORD"

MOST_LISTED = 500
LONGEST_LOGIN = 320
"""Characters; neither an address nor a name has more."""


class Admitted(NamedTuple):
    """Somebody who signed in."""

    person: Person
    session: Session


@dataclass(frozen=True, slots=True)
class Issue:
    """Something about an account that an administrator should know."""

    person: Person
    issues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cupboard:
    """What is kept for people besides their accounts."""

    documents: Documents
    history: History


@dataclass(frozen=True, slots=True)
class PeopleDesk:
    """Accounts by number and name. Belongs to one event loop.

    Attributes:
        identity: Accounts and sessions, v3's own.
        life: Of access tokens in seconds: v2's clients cannot renew theirs.
    """

    identity: Identity
    people: People
    kept: Cupboard
    clock: Clock
    life: int

    async def register(self, name: str, email: str, password: str) -> Admitted:
        """Make an account and sign it in.

        Raises:
            InvalidParameters: `WEAK_PASSWORD`, `NAME_TAKEN` or `EMAIL_TAKEN`; or a field is wrong.
            AuthorizationFailed: Registration is closed.
        """
        if not (any(c.isalpha() for c in password) and any(c.isdigit() for c in password)):
            problem = "needs a letter and a digit"
            raise InvalidParameters(f"'password' {problem}.", WEAK, [("password", problem)])
        if await self._named(plain_name(name, normalised(email))):
            raise _taken("name", NAME_TAKEN)
        return await self._admitted(await self.identity.register(email, password, name, self.life))

    async def address(self, login: str) -> str:
        """Return the e-mail address that a name, or an address, means; itself where none does."""
        short = login.strip()[:LONGEST_LOGIN]
        person = await self.people.meant(short)
        return person.user.email if person else short

    async def login(self, email: str, password: str) -> Admitted:
        """Sign somebody in; raises as `Identity.login` does."""
        return await self._admitted(await self.identity.login(email, password, self.life))

    async def verify(self, token: str) -> tuple[Person, Claims]:
        """Return whose token this is.

        Raises:
            AuthenticationFailed: It is not accepted, or an API key, or of nobody who is here.
        """
        claims = await self.identity.admit(token)
        person = None if claims.key else await self.people.find(claims.user)
        if person is None:
            raise AuthenticationFailed("It is not a token of an account here.")
        return person, claims

    async def profile(self, user_id: str) -> Person:
        """Return an account as it is.

        Raises:
            NotFound: There is none.
        """
        person = await self.people.find(user_id)
        if person is None:
            raise NotFound("These credentials have no account here.")
        return person

    async def change(self, user_id: str, name: str, email: str) -> Person:
        """Replace name and address.

        Raises:
            NotFound: There is no such account.
            AuthorizationFailed: An administrator's address is a setting.
            InvalidParameters: `EMAIL_TAKEN` or `NAME_TAKEN`; or a field is wrong.
        """
        user, address = (await self.profile(user_id)).user, normalised(email)
        if user.role is not Role.USER and address != user.email:
            raise AuthorizationFailed("An administrator's address is the setting `admin.email`.")
        plain = plain_name(name, address)
        changed = await self.people.change(user_id, plain, address, self.clock.now())
        if changed is None:
            other = await self.people.meant(address)
            mine = other is None or other.user.email != address or other.user.id == user_id
            raise _taken("name", NAME_TAKEN) if mine else _taken("email", EMAIL_TAKEN)
        return changed

    async def change_password(self, claims: Claims, old: str, new: str) -> None:
        """Replace the password; the sessions of other devices end."""
        person = await self.profile(claims.user)
        await self.identity.change_password(claims, person.user.email, old, new)

    async def close(self, user_id: str, password: str) -> None:
        """Close an account for good, and delete what is kept for it alone.

        Tasks, what they cost and what they did stay until the settings' time is over: that is
        the journal's.

        Raises:
            AuthorizationFailed: An administrator's is not closed here.
            AuthenticationFailed: The password is wrong.
            NotFound: There is no such account.
        """
        person = await self.profile(user_id)
        user = person.user
        if user.role is not Role.USER:
            raise AuthorizationFailed("The account of an administrator is not closed here.")
        await self.identity.confirm(user.email, password)
        await self.kept.history.clear(user.tenant, user.id)
        await self.identity.end_sessions(user.id)
        await self.people.close(user.id, self.clock.now())

    async def listing(self) -> list[Person]:
        """Return the first accounts that may come in, by number."""
        found = await self.people.page(MOST_LISTED)
        return [person for person in found if not person.user.disabled]

    async def examine(self) -> tuple[int, list[Issue]]:
        """Look at all accounts; return how many there are, and those with something amiss."""
        found: list[Issue] = []
        names: set[str] = set()
        total = after = 0
        while page := await self.people.page(MOST_LISTED, after):
            after, total = page[-1].number, total + len(page)
            for person in page:
                issues = tuple(_issues(person, names))
                if issues and len(found) < MOST_LISTED:
                    found.append(Issue(person, issues))
        return total, found

    async def _named(self, name: str) -> bool:
        return await self.people.meant(name) is not None

    async def _admitted(self, session: Session) -> Admitted:
        return Admitted(await self.profile(session.user.id), session)


def _issues(person: Person, names: set[str]) -> list[str]:
    user = person.user
    if user.disabled:
        return ["disabled"]
    issues = ["v2_password"] if person.v2_password else []
    if user.name.lower() in names:
        issues.append("name_in_use")
    names.add(user.name.lower())
    return issues


def _taken(name: str, reason: str) -> InvalidParameters:
    return InvalidParameters(f"'{name}' is in use already.", reason, [(name, "is in use already")])
