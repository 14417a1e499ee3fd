"""Registers people, signs them in and out, and says who holds a token."""

import secrets
from dataclasses import dataclass, field, replace
from hashlib import sha256

from cartrita.auth.address import normalised
from cartrita.auth.apikeys import KeyDesk
from cartrita.auth.claims import LEEWAY, LONGEST_LIFETIME, ROLE_SCOPES, Claims
from cartrita.auth.passwords import Passwords
from cartrita.auth.revocation import Revocations
from cartrita.auth.tokens import REFUSED, Tokens
from cartrita.auth.v2_tokens import V2Tokens
from cartrita.clock import Clock, new_id
from cartrita.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    ConfigurationInvalid,
    InvalidParameters,
    NotFound,
)
from cartrita.protocol.principal import Principal, Role, is_key
from cartrita.storage.ports import Grant, User, Users

EMAIL_TAKEN = "EMAIL_TAKEN"
LONGEST_NAME = 200
LONGEST_REFRESH_TOKEN = 128
WRONG_LOGIN = "The e-mail address or the password is wrong."
REFRESH_REFUSED = "The refresh token is not accepted: sign in again."


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings identity depends on.

    Attributes:
        refresh_ttl_s: Life of a refresh token.
        revocation_ttl_s: Seconds until a revoked token is refused everywhere.
        registration_open: Whether anybody may make an account.
    """

    refresh_ttl_s: float = 30 * 86_400
    revocation_ttl_s: float = 5.0
    registration_open: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """What somebody gets who signed in.

    Attributes:
        token: The access token.
        refresh_token: Good for one more session, once.
        expires_in: Life of the access token, in seconds.
    """

    token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    user: User


class Identity:
    """Accounts and sessions. Belongs to one event loop.

    Args:
        v2: Reads v2's tokens, where they are accepted.
        keys: Knows API keys, where they are accepted.
    """

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        users: Users,
        tokens: Tokens,
        passwords: Passwords,
        clock: Clock,
        rules: Rules | None = None,
        v2: V2Tokens | None = None,
        *,
        keys: KeyDesk | None = None,
    ) -> None:
        self._users, self._tokens, self._passwords = users, tokens, passwords
        self._clock, self._v2, self._keys = clock, v2, keys
        self._rules = rules or Rules()
        self._revocations = Revocations(users, clock, self._rules.revocation_ttl_s)

    async def register(
        self, email: str, password: str, name: str = "", life: int | None = None
    ) -> Session:
        """Make an account for an ordinary user and sign it in.

        `life` is the access token's in seconds; as the settings say by default.

        Raises:
            AuthorizationFailed: Registration is closed.
            InvalidParameters: A field is wrong, or (`EMAIL_TAKEN`) the address is in use.
        """
        if not self._rules.registration_open:
            raise AuthorizationFailed("Registration is closed here: ask an administrator.")
        user = await self._add(normalised(email), password, name, Role.USER)
        if user is None:
            taken = [("email", "is in use already")]
            raise InvalidParameters("'email' is in use already.", EMAIL_TAKEN, taken)
        return await self._open(user, life)

    async def login(self, email: str, password: str, life: int | None = None) -> Session:
        """Sign somebody in; `life` as in `register`.

        Raises:
            AuthenticationFailed: Always with the same words, after the same time.
            ServiceUnavailable: Too many others are signing in.
        """
        return await self._open(await self._known(email, password), life)

    async def confirm(self, email: str, password: str) -> None:
        """Have somebody say their password once more; raises as `login` does."""
        await self._known(email, password)

    async def change_password(self, claims: Claims, email: str, old: str, new: str) -> None:
        """Replace somebody's password and end their other sessions.

        Raises:
            AuthenticationFailed: The old one is wrong.
            InvalidParameters: The new one is not acceptable.
        """
        user = await self._known(email, old)
        await self._users.set_password(user.id, await self._passwords.hash(new))
        others = [one for one in await self._users.families(user.id) if one != claims.session]
        await self._end(others)

    async def end_sessions(self, user_id: str) -> None:
        """End all sessions of a user."""
        await self._end(await self._users.families(user_id))

    async def refresh(self, refresh_token: str) -> Session:
        """Give a new session for a refresh token, which is spent with that.

        A token that comes a second time was copied: its whole family ends, access tokens
        included, because nobody can tell the thief from the owner.

        Raises:
            AuthenticationFailed: Always with the same words.
        """
        fresh, now = secrets.token_urlsafe(32), self._clock.now()
        expires = now + self._rules.refresh_ttl_s
        renewal = await self._users.renew(_digest(refresh_token), _digest(fresh), now, expires)
        if renewal.reused is not None:
            await self._end([renewal.reused])
        if renewal.user is None:
            raise AuthenticationFailed(REFRESH_REFUSED)
        return self._session(renewal.user, renewal.family, fresh)

    async def logout(self, refresh_token: str | None, claims: Claims) -> None:
        """End the session of this access token, and the one of the refresh token if another.

        Raises:
            AuthorizationFailed: That is an API key's to ask.
        """
        if claims.key:
            raise AuthorizationFailed(
                f"An API key has no session: DELETE /v3/keys/{claims.key} revokes it."
            )
        families = {claims.session} if claims.session else set()
        if refresh_token is not None:
            families |= set(await self._users.families(claims.user, _digest(refresh_token)))
        await self._end(sorted(families), claims.jti)
        self._revocations.bar(claims.jti)

    async def admit(self, token: str) -> Claims:
        """Return what a token or API key says that is ours (or v2's) and was not revoked.

        Raises:
            AuthenticationFailed: It is not; always with the same words.
            ServiceUnavailable: Whether it was revoked cannot be found out now.
        """
        if self._keys and is_key(token):
            return await self._keys.admit(token)
        claims = await self._housed(self._verified(token))
        if await self._revocations.barred(claims):
            raise AuthenticationFailed(REFUSED)
        return claims

    async def authenticate(self, token: str) -> Principal:
        """Return who holds `token`; raises as `admit` does."""
        return (await self.admit(token)).principal()

    async def me(self, principal: Principal) -> User:
        """Return the account behind a principal.

        Raises:
            NotFound: It has none here: a guest, the program itself, a v2 token of somebody who
                was not taken over.
        """
        user = await self._users.find(principal.user)
        if user is None:
            raise NotFound("These credentials have no account here.")
        return user

    async def ensure_admin(self, email: str, password: str | None) -> str | None:
        """Make the administrator's account; return its password if we had to think of one.

        Where the account exists, a given `password` that differs replaces the old one and
        ends all its sessions. Call it before the doors open.

        Raises:
            ConfigurationInvalid: The address belongs to an ordinary user, whom a setting must
                not promote: anybody may have registered it.
        """
        address = normalised(email)
        chosen = password or secrets.token_urlsafe(18)
        if await self._users.find_login(address) is None:
            made = await self._add(address, chosen, "Administrator", Role.ADMIN)
            if made is not None:
                return None if password else chosen
        await self._keep_admin(address, password)
        return None

    async def sign_in_owner(self, email: str) -> Session:
        """Open a session without a password, for the owner of an instance, who holds its keys.

        Raises:
            NotFound: There is no such account.
        """
        login = await self._users.find_login(normalised(email))
        if login is None:
            raise NotFound(f"There is no account {email!r}.")
        return await self._open(login.user)

    async def _keep_admin(self, address: str, password: str | None) -> None:
        login = await self._users.find_login(address)
        if login is None or login.user.role is not Role.ADMIN:
            raise ConfigurationInvalid(
                f"{address!r} is an ordinary user: choose another `admin.email`."
            )
        if password is None or await self._passwords.matches(login.password_hash, password):
            return
        await self._users.set_password(login.user.id, await self._passwords.hash(password))
        await self._end(await self._users.families(login.user.id))

    def _verified(self, token: str) -> Claims:
        if self._v2 is None:
            return self._tokens.verify(token)
        try:
            return self._tokens.verify(token)
        except AuthenticationFailed:
            return self._v2.verify(token)

    async def _housed(self, claims: Claims) -> Claims:
        """Return the claims of the account that v2's user has here, if it was taken over."""
        user = None if claims.ours else await self._users.find(claims.user)
        if user is None:
            return claims
        return replace(claims, tenant=user.tenant, email=user.email, ours=True)

    async def _known(self, email: str, password: str) -> User:
        login = await self._users.find_login(_lenient(email))
        stored = login.password_hash if login else None
        matches = await self._passwords.matches(stored, password)
        if login is None or not matches or login.user.disabled:
            raise AuthenticationFailed(WRONG_LOGIN)
        if self._passwords.outdated(login.password_hash):
            again = await self._passwords.rehash(password)
            await self._users.set_password(login.user.id, again)
        return login.user

    async def _add(self, email: str, password: str, name: str, role: Role) -> User | None:
        """Add an account, unless the address is taken."""
        user_id = new_id()
        user = User(
            id=user_id,
            email=email,
            name=plain_name(name, email),
            role=role,
            tenant=user_id,
            created_at=round(self._clock.now(), 3),
        )
        hashed = await self._passwords.hash(password)
        return user if await self._users.add(user, hashed) else None

    async def _open(self, user: User, life: int | None = None) -> Session:
        """Begin a new family of refresh tokens."""
        token, family, now = secrets.token_urlsafe(32), new_id(), self._clock.now()
        expires = now + self._rules.refresh_ttl_s
        await self._users.grant(Grant(_digest(token), family, user.id, now, expires))
        return self._session(user, family, token, life)

    def _session(
        self, user: User, family: str, refresh_token: str, life: int | None = None
    ) -> Session:
        scopes = ROLE_SCOPES[user.role]
        who = (user.id, user.tenant, user.role, scopes, user.email, family)
        issued = self._tokens.issue(*who, life=life)
        return Session(issued.token, refresh_token, issued.expires_in, user)

    async def _end(self, families: list[str] | tuple[str, ...], *tokens: str) -> None:
        now = self._clock.now()
        # Until no access token of these can be alive, whatever its lifetime was set to.
        await self._users.revoke(families, tokens, now, now + LONGEST_LIFETIME + LEEWAY)


def _digest(refresh_token: str) -> bytes:
    # It has 256 bits of randomness: a plain digest cannot be searched.
    text = refresh_token[:LONGEST_REFRESH_TOKEN]
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _lenient(email: str) -> str:
    """Return an address to look for; one that cannot exist is not told apart."""
    try:
        return normalised(email)
    except InvalidParameters:
        return ""


def plain_name(name: str, email: str) -> str:
    """Return a name as it is stored: without blanks around it; by default one from the address.

    Raises:
        InvalidParameters: It is too long, or not printable.
    """
    plain = name.strip() or email.partition("@")[0]
    if len(plain) > LONGEST_NAME or not plain.isprintable():
        problem = f"takes up to {LONGEST_NAME} printable characters"
        raise InvalidParameters(f"'name' {problem}.", fields=[("name", problem)])
    return plain
