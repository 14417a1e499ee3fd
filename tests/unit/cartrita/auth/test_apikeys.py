"""Tests of API keys, as the desk knows them."""

import asyncio
import re
from dataclasses import replace

import pytest

from cartrita.auth.apikeys import CREATE, DAY, REFUSED, REVOKE, KeyDesk
from cartrita.auth.claims import USER_SCOPES, Claims
from cartrita.clock import new_id
from cartrita.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    InvalidParameters,
    NotFound,
    ResourceLimitExceeded,
    ServiceUnavailable,
)
from cartrita.protocol.principal import Role
from cartrita.storage.memory import InMemoryUsers
from cartrita.storage.memory_keys import InMemoryKeys
from cartrita.storage.memory_runtime import InMemoryAudit
from cartrita.storage.ports import User

NOW = 1_700_000_000


class Watched(InMemoryKeys):
    """Counts what it is asked, and may be away."""

    def __init__(self, users):
        super().__init__(users)
        self.asked, self.away, self.most, self._now = 0, False, 0, 0

    async def find(self, digest):
        self.asked, self._now = self.asked + 1, self._now + 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        if self.away:
            raise ServiceUnavailable("away")
        return await super().find(digest)


@pytest.fixture
def users():
    return InMemoryUsers()


@pytest.fixture
def keys(users):
    return Watched(users)


@pytest.fixture
def audit():
    return InMemoryAudit()


@pytest.fixture
def desk(keys, audit, clock):
    return KeyDesk(keys, audit, clock, ttl=5.0)


async def claims_of(users, role=Role.USER, scopes=USER_SCOPES, email="ada@example.org", **more):
    user_id = new_id()
    await users.add(User(user_id, email, "Ada", role, user_id, NOW), "hash")
    return Claims(user_id, user_id, role, scopes, "jti", NOW, NOW + 60, **more)


@pytest.fixture
async def ada(users):
    return await claims_of(users)


@pytest.fixture
async def root(users):
    return await claims_of(users, Role.ADMIN, ("*",), "root@example.org")


async def made(desk, claims, scopes=None, days=None):
    return await desk.create(claims, "ci", scopes, days)


async def refused(desk, secret):
    with pytest.raises(AuthenticationFailed) as caught:
        await desk.admit(secret)
    assert (caught.value.message, caught.value.fields) == (REFUSED, ())


async def test_a_key_is_recognised_as_its_user(desk, ada):
    key, secret = await made(desk, ada)
    assert re.fullmatch("ctk_[A-Za-z0-9]{32}", secret)
    claims = await desk.admit(secret)
    assert (claims.user, claims.tenant, claims.role, claims.ours) == (
        ada.user,
        ada.user,
        "user",
        True,
    )
    assert claims.scopes == ("tasks:*", "agents:read")
    assert (claims.key, claims.jti) == (key.id, f"key:{key.id}")
    assert claims.expires_at == NOW + 90 * DAY


async def test_nothing_that_is_kept_or_noted_tells_the_key(desk, keys, audit, ada):
    _, secret = await made(desk, ada)
    kept = f"{keys._kept} {await audit.entries(10, None)} {await desk.admit(secret)!r}"
    assert secret not in kept
    assert secret[4:] not in kept


@pytest.mark.parametrize(
    "change", [lambda s: s[:-1], lambda s: s + "A", str.lower, lambda s: s + "A" * 99]
)
async def test_what_is_not_exactly_a_key_is_none(desk, ada, change):
    _, secret = await made(desk, ada)
    await refused(desk, change(secret))
    await refused(desk, "ctk_\ud800")
    await desk.admit(secret)


async def test_a_key_expires_to_the_second(desk, ada, clock):
    _, secret = await made(desk, ada, days=1)
    clock.advance(DAY - 0.5)
    await desk.admit(secret)
    clock.advance(0.5)
    await refused(desk, secret)


async def test_a_key_revoked_here_is_refused_at_once(desk, ada):
    key, secret = await made(desk, ada)
    await desk.admit(secret)
    await desk.revoke(key.id, ada.principal())
    await refused(desk, secret)


async def test_a_key_revoked_while_it_is_asked_about_is_refused(desk, ada):
    key, secret = await made(desk, ada)
    asking = asyncio.create_task(refused(desk, secret))
    await asyncio.sleep(0)
    await desk.revoke(key.id, ada.principal())
    await asking


async def test_a_key_revoked_elsewhere_is_refused_within_the_time(desk, keys, audit, ada, clock):
    key, secret = await made(desk, ada)
    await desk.admit(secret)
    await KeyDesk(keys, audit, clock).revoke(key.id, ada.principal())
    clock.advance(4.999)
    await desk.admit(secret)
    clock.advance(0.001)
    await refused(desk, secret)


async def test_the_store_is_asked_once_for_many(desk, keys, ada, clock):
    _, secret = await made(desk, ada)
    await asyncio.gather(*(desk.admit(secret) for _ in range(50)))
    clock.advance(4.9)
    await desk.admit(secret)
    assert keys.asked == 1


async def test_while_the_store_is_away_the_last_answer_holds_for_its_time(desk, keys, ada, clock):
    _, secret = await made(desk, ada)
    await desk.admit(secret)
    keys.away = True
    await desk.admit(secret)
    clock.advance(5)
    with pytest.raises(ServiceUnavailable):
        await desk.admit(secret)


async def test_a_key_of_a_user_who_may_not_come_in_is_refused(desk, users, ada, clock):
    _, secret = await made(desk, ada)
    login = users.logins[ada.user]
    users.logins[ada.user] = replace(login, user=replace(login.user, disabled=True))
    await refused(desk, secret)


async def test_a_key_of_an_administrator_is_one_only_where_it_says_so(desk, root):
    for scopes, admin in ((None, False), (["tasks:*"], False), (["*"], True), (["admin:*"], True)):
        _, secret = await made(desk, root, scopes)
        assert (await desk.admit(secret)).principal().admin is admin


async def test_who_is_no_administrator_any_more_has_no_key_of_one(desk, users, root):
    _, secret = await made(desk, root, ["*"])
    login = users.logins[root.user]
    users.logins[root.user] = replace(login, user=replace(login.user, role=Role.USER))
    principal = (await desk.admit(secret)).principal()
    assert not principal.admin
    assert principal.may("tasks:system.echo")
    assert not principal.may("admin:commands")


async def test_a_key_makes_no_key_that_may_more(desk, ada):
    _, plain = await made(desk, ada)
    with pytest.raises(AuthorizationFailed, match="keys:write"):
        await made(desk, await desk.admit(plain))
    _, maker = await made(desk, ada, ["keys:*", "tasks:a.*"])
    claims = await desk.admit(maker)
    await made(desk, claims, ["tasks:a.b"])
    for beyond in (None, ["tasks:*"], ["*"], ["admin:*"]):
        with pytest.raises(AuthorizationFailed):
            await made(desk, claims, beyond)


async def test_a_key_lives_for_one_day_to_the_longest(keys, audit, ada, clock):
    desk = KeyDesk(keys, audit, clock, longest=30)
    assert (await made(desk, ada))[0].expires_at == NOW + 30 * DAY
    for wrong in (0, -1, 31, 10**30):
        with pytest.raises(InvalidParameters) as caught:
            await made(desk, ada, days=wrong)
        assert caught.value.fields[0].field == "expiresInDays"


async def test_who_has_no_account_here_has_no_key(desk, users):
    with pytest.raises(NotFound):
        await made(desk, await claims_of(users, ours=False))


async def test_a_user_has_so_many_keys(desk, ada, monkeypatch):
    monkeypatch.setattr("cartrita.auth.apikeys.MOST", 2)
    for _ in range(2):
        await made(desk, ada)
    with pytest.raises(ResourceLimitExceeded, match="2 API keys"):
        await made(desk, ada)


async def test_users_see_and_revoke_their_own_and_administrators_all(desk, users, ada, root):
    eve = await claims_of(users, email="eve@example.org")
    (hers, _), (mine, secret) = await made(desk, eve), await made(desk, ada)
    assert await desk.page(eve.principal(), 10, None) == [hers]
    assert await desk.page(root.principal(), 10, None) == [mine, hers]
    with pytest.raises(NotFound):
        await desk.revoke(mine.id, eve.principal())
    await desk.admit(secret)
    await desk.revoke(mine.id, root.principal())
    await refused(desk, secret)


async def test_what_is_done_is_noted(desk, audit, ada, root):
    key, _ = await made(desk, ada, ["tasks:a.*"])
    await desk.revoke(key.id, root.principal())
    revoked, created = await audit.entries(10, None)
    assert [created.action, revoked.action] == [CREATE, REVOKE]
    assert (created.actor, created.target, created.outcome) == (ada.user, key.id, "ok")
    assert (revoked.actor, revoked.target) == (root.user, key.id)
    assert created.detail["scopes"] == ["tasks:a.*"]
    assert revoked.detail["user"] == ada.user


async def test_its_last_use_is_noted_once_a_minute(keys, audit, ada, clock):
    desk = KeyDesk(keys, audit, clock, ttl=0)
    _, secret = await made(desk, ada)
    seen = []
    for _ in range(4):
        await desk.admit(secret)
        ((_, key),) = keys._kept.items()
        seen.append(key.last_used_at - NOW)
        clock.advance(30)
    assert seen == [0, 0, 60, 60]


async def test_a_flood_of_wrong_keys_leaves_the_store_to_others(desk, keys):
    await asyncio.gather(*(refused(desk, f"ctk_{number}") for number in range(50)))
    assert (keys.asked, keys.most) == (50, 4)


async def test_who_waits_too_long_for_the_store_is_told_so(desk, keys, monkeypatch):
    monkeypatch.setattr("cartrita.auth.apikeys.PATIENCE", 0.01)
    for _ in range(4):
        await desk._lookers.acquire()
    with pytest.raises(ServiceUnavailable):
        await desk.admit("ctk_1")
