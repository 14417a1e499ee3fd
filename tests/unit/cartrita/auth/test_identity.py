"""Tests of accounts and sessions."""

import asyncio
from dataclasses import replace

import pytest
from argon2 import PasswordHasher

from cartrita.auth.identity import (
    EMAIL_TAKEN,
    REFRESH_REFUSED,
    WRONG_LOGIN,
    Identity,
    Rules,
)
from cartrita.auth.tokens import REFUSED
from cartrita.auth.v2_tokens import V2Tokens
from cartrita.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    ConfigurationInvalid,
    InvalidParameters,
    NotFound,
)
from cartrita.protocol.principal import SYSTEM, Role
from cartrita.storage.ports import Login, User

NOW = 1_700_000_000
EMAIL, PASSWORD = "ada@example.org", "correct horse"
SECRET = "a-shared-secret-of-32-bytes-or-more"


@pytest.fixture
async def session(identity):
    return await identity.register(EMAIL, PASSWORD, "Ada")


@pytest.fixture
def elsewhere(users, tokens, passwords, clock):
    """The same accounts, seen from another replica."""
    return Identity(users, tokens, passwords, clock)


async def refused(call, words):
    with pytest.raises(AuthenticationFailed) as caught:
        await call
    assert (caught.value.message, caught.value.reason, caught.value.fields) == (words, None, ())


async def test_whoever_registers_is_an_ordinary_user_in_a_tenant_of_their_own(identity, session):
    principal = await identity.authenticate(session.token)
    assert (principal.user, principal.tenant) == (session.user.id, session.user.id)
    assert (principal.role, principal.admin) == (Role.USER, False)
    assert principal.may("tasks:research.web.search")
    assert not principal.may("budgets:write")
    assert session.user == User(
        session.user.id, EMAIL, "Ada", Role.USER, session.user.id, float(NOW)
    )
    assert session.expires_in == 3600


@pytest.mark.parametrize("email", ["admin@cartrita.local", "admin@admin.admin", "system@x.y"])
async def test_no_address_makes_an_administrator(identity, email):
    session = await identity.register(email, PASSWORD, "admin")
    assert (await identity.authenticate(session.token)).role is Role.USER


async def test_an_address_is_used_once_however_it_is_written(identity, session):
    with pytest.raises(InvalidParameters) as caught:
        await identity.register(" ADA@example.ORG ", PASSWORD, "Ada")
    assert caught.value.reason == EMAIL_TAKEN
    assert [field.field for field in caught.value.fields] == ["email"]


async def test_of_two_who_register_at_once_one_gets_the_address(identity):
    calls = [identity.register(EMAIL, PASSWORD) for _ in range(4)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == [
        *["InvalidParameters"] * 3,
        "Session",
    ]


@pytest.mark.parametrize(
    ("email", "password", "name", "field"),
    [
        ("nobody", PASSWORD, "", "email"),
        (EMAIL, "short", "", "password"),
        (EMAIL, PASSWORD, "x" * 201, "name"),
        (EMAIL, PASSWORD, "a\x1b[2Jb", "name"),
    ],
)
async def test_a_wrong_field_is_named(identity, users, email, password, name, field):
    with pytest.raises(InvalidParameters) as caught:
        await identity.register(email, password, name)
    assert [item.field for item in caught.value.fields] == [field]
    assert await users.find_login(EMAIL) is None


async def test_without_a_name_the_address_gives_one(identity):
    assert (await identity.register(EMAIL, PASSWORD)).user.name == "ada"


async def test_nobody_registers_where_that_is_closed(elsewhere, users):
    with pytest.raises(AuthorizationFailed, match="closed"):
        await elsewhere.register(EMAIL, PASSWORD)
    assert await users.find_login(EMAIL) is None


async def test_a_session_shows_no_secret_when_printed(session, users):
    assert session.token not in repr(session)
    assert session.refresh_token not in repr(session)
    login = await users.find_login(EMAIL)
    assert login.password_hash not in repr(login)


async def test_signing_in_takes_the_password(identity, session):
    again = await identity.login(" Ada@Example.org", PASSWORD)
    assert again.user == session.user
    assert (await identity.authenticate(again.token)).user == session.user.id


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (EMAIL, "wrong horse"),
        (EMAIL, ""),
        (EMAIL, "x" * 10_000),
        ("nobody@example.org", PASSWORD),
        ("not an address", PASSWORD),
        ("", PASSWORD),
        ("\ud800", "\ud800" * 8),
    ],
)
async def test_every_wrong_sign_in_sounds_the_same(identity, session, email, password):
    await refused(identity.login(email, password), WRONG_LOGIN)


async def test_an_unknown_address_costs_a_hash_too(users, tokens, passwords, clock):
    class Counting(type(passwords)):
        compared = 0

        def _verify(self, stored, text):
            self.compared += 1
            return super()._verify(stored, text)

    counting = Counting()
    await refused(Identity(users, tokens, counting, clock).login(EMAIL, PASSWORD), WRONG_LOGIN)
    counting.close()
    assert counting.compared == 1


async def test_a_disabled_user_stays_outside(identity, users, session, clock):
    users.logins[session.user.id] = Login(
        replace(session.user, disabled=True), (await users.find_login(EMAIL)).password_hash
    )
    await refused(identity.login(EMAIL, PASSWORD), WRONG_LOGIN)
    await refused(identity.refresh(session.refresh_token), REFRESH_REFUSED)
    await refused(identity.authenticate(session.token), REFUSED)


async def test_a_hash_of_an_older_cost_is_renewed_at_sign_in(identity, users, session):
    old = PasswordHasher(2, 16, 1).hash(PASSWORD)
    await users.set_password(session.user.id, old)
    await identity.login(EMAIL, PASSWORD)
    renewed = (await users.find_login(EMAIL)).password_hash
    assert renewed != old
    await identity.login(EMAIL, PASSWORD)
    assert (await users.find_login(EMAIL)).password_hash == renewed


async def test_a_refresh_token_gives_one_new_session(identity, session):
    fresh = await identity.refresh(session.refresh_token)
    assert fresh.user == session.user
    assert fresh.refresh_token != session.refresh_token
    assert (await identity.authenticate(fresh.token)).user == session.user.id
    assert await identity.refresh(fresh.refresh_token)


async def test_a_refresh_token_that_comes_twice_ends_its_whole_family(identity, elsewhere, session):
    other_device = await identity.login(EMAIL, PASSWORD)
    fresh = await identity.refresh(session.refresh_token)
    await refused(identity.refresh(session.refresh_token), REFRESH_REFUSED)
    await refused(identity.refresh(fresh.refresh_token), REFRESH_REFUSED)
    for token in (session.token, fresh.token):
        await refused(elsewhere.authenticate(token), REFUSED)
    assert await identity.refresh(other_device.refresh_token)
    assert await elsewhere.authenticate(other_device.token)


async def test_of_two_refreshes_at_once_at_most_one_works(identity, session):
    calls = [identity.refresh(session.refresh_token) for _ in range(4)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(result, AuthenticationFailed) for result in results) == 3


async def test_a_refresh_token_expires(identity, session, clock):
    clock.advance(30 * 86_400)
    await refused(identity.refresh(session.refresh_token), REFRESH_REFUSED)


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 100_000, "\ud800", "\0"])
async def test_what_is_no_refresh_token_is_refused(identity, session, token):
    await refused(identity.refresh(token), REFRESH_REFUSED)
    await refused(identity.refresh(session.refresh_token + token + "!"), REFRESH_REFUSED)


async def test_the_two_kinds_of_token_cannot_be_swapped(identity, session):
    await refused(identity.authenticate(session.refresh_token), REFUSED)
    await refused(identity.refresh(session.token), REFRESH_REFUSED)


async def test_a_refresh_token_is_stored_as_a_digest_only(users, session):
    (digest,) = users._tokens
    assert len(digest) == 32
    assert session.refresh_token.encode() not in digest


async def test_signing_out_ends_the_session_at_once(identity, session):
    claims = await identity.admit(session.token)
    await identity.logout(session.refresh_token, claims)
    await refused(identity.authenticate(session.token), REFUSED)
    await refused(identity.refresh(session.refresh_token), REFRESH_REFUSED)


async def test_signing_out_ends_the_session_without_its_refresh_token_too(identity, session):
    await identity.logout(None, await identity.admit(session.token))
    await refused(identity.refresh(session.refresh_token), REFRESH_REFUSED)


async def test_signing_out_is_heard_elsewhere_in_time(identity, elsewhere, session, clock):
    await elsewhere.authenticate(session.token)
    await identity.logout(None, await identity.admit(session.token))
    clock.advance(5)
    await refused(elsewhere.authenticate(session.token), REFUSED)


async def test_nobody_signs_somebody_else_out(identity, session):
    other = await identity.register("eve@example.org", PASSWORD)
    await identity.logout(session.refresh_token, await identity.admit(other.token))
    assert await identity.authenticate(session.token)
    assert await identity.refresh(session.refresh_token)


async def test_an_access_token_ends_by_itself(identity, session, clock):
    clock.advance(3600 + 60)
    await refused(identity.authenticate(session.token), REFUSED)


async def test_everybody_may_look_at_their_own_account(identity, session):
    principal = await identity.authenticate(session.token)
    assert await identity.me(principal) == session.user


async def test_the_program_itself_has_no_account(identity):
    with pytest.raises(NotFound):
        await identity.me(SYSTEM)


async def test_the_first_administrator_gets_a_password_once(identity):
    password = await identity.ensure_admin("Admin@cartrita.local", None)
    assert len(password) >= 24
    assert await identity.ensure_admin("admin@cartrita.local", None) is None
    session = await identity.login("admin@cartrita.local", password)
    principal = await identity.authenticate(session.token)
    assert principal.role is Role.ADMIN
    assert principal.may("admin:anything")


async def test_an_administrators_given_password_is_not_told(identity):
    assert await identity.ensure_admin("admin@cartrita.local", PASSWORD) is None
    assert await identity.login("admin@cartrita.local", PASSWORD)


async def test_a_changed_setting_changes_the_password_and_ends_the_sessions(identity):
    await identity.ensure_admin("admin@cartrita.local", PASSWORD)
    session = await identity.login("admin@cartrita.local", PASSWORD)
    await identity.ensure_admin("admin@cartrita.local", PASSWORD)
    assert await identity.refresh(session.refresh_token)
    session = await identity.login("admin@cartrita.local", PASSWORD)
    await identity.ensure_admin("admin@cartrita.local", "another horse")
    await refused(identity.login("admin@cartrita.local", PASSWORD), WRONG_LOGIN)
    await refused(identity.refresh(session.refresh_token), REFRESH_REFUSED)
    await refused(identity.authenticate(session.token), REFUSED)
    assert await identity.login("admin@cartrita.local", "another horse")


async def test_replicas_that_start_at_once_make_one_administrator(identity, elsewhere):
    calls = [who.ensure_admin("a@b.c", None) for who in (identity, elsewhere)]
    (password,) = [given for given in await asyncio.gather(*calls) if given]
    assert await identity.login("a@b.c", password)


async def test_a_setting_promotes_nobody(identity, session):
    with pytest.raises(ConfigurationInvalid, match="ordinary user"):
        await identity.ensure_admin(EMAIL, "another horse")
    assert await identity.login(EMAIL, PASSWORD)


async def test_the_owner_of_an_instance_needs_no_password(identity):
    await identity.ensure_admin("admin@cartrita.local", PASSWORD)
    session = await identity.sign_in_owner("Admin@cartrita.local")
    assert (await identity.authenticate(session.token)).admin
    with pytest.raises(NotFound, match="nobody@example"):
        await identity.sign_in_owner("nobody@example.org")


V2_CLAIMS = {
    "sub": 17,
    "email": EMAIL,
    "role": "admin",
    "is_admin": True,
    "iat": NOW,
    "exp": NOW + 60,
    "iss": "cartrita-auth",
    "aud": "cartrita-clients",
}


@pytest.fixture
def v2_token(forge):
    return forge.mac(SECRET.encode(), {"alg": "HS256", "typ": "JWT"}, V2_CLAIMS)


async def test_v2_tokens_are_refused_by_default(identity, v2_token):
    await refused(identity.authenticate(v2_token), REFUSED)


async def test_v2_tokens_can_be_let_in_and_be_revoked(
    users, tokens, passwords, clock, v2_token, session
):
    identity = Identity(users, tokens, passwords, clock, v2=V2Tokens(SECRET, clock))
    claims = await identity.admit(v2_token)
    assert claims.principal().role is Role.USER
    assert (await identity.authenticate(session.token)).user == session.user.id
    with pytest.raises(NotFound):
        await identity.me(claims.principal())
    await identity.logout(None, claims)
    await refused(identity.authenticate(v2_token), REFUSED)


async def test_the_rules_are_closed_by_default():
    assert Rules().registration_open is False
