"""What every keeper of API keys promises."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable
from cartrita.protocol.principal import Role
from cartrita.storage.apikeys import ApiKey, Held
from cartrita.storage.memory import InMemoryUsers
from cartrita.storage.memory_keys import InMemoryKeys
from cartrita.storage.ports import User
from cartrita.storage.postgres.keys import PostgresKeys
from cartrita.storage.postgres.users import PostgresUsers

NOW = 1_700_000_000.5
DAY = 86_400.0


def digest(text):
    return text.encode().ljust(32, b".")


async def account(users, email="ada@example.org", **changes):
    user_id = new_id()
    user = replace(User(user_id, email, "Ada", Role.USER, user_id, NOW), **changes)
    assert await users.add(user, "hash")
    return user


def key_of(user_id, name="ci", **changes):
    key = ApiKey(new_id(), user_id, name, ("tasks:*", "agents:read"), NOW, NOW + DAY)
    return replace(key, **changes)


async def added(keys, user_id, secret, **changes):
    key = key_of(user_id, **changes)
    assert await keys.add(key, digest(secret), 100)
    return key


class KeysContract:
    """Subclass it with fixtures `users` and `keys`."""

    async def test_a_key_is_found_by_its_digest_with_its_user(self, users, keys):
        ada = await account(users, role=Role.ADMIN, tenant="lab", disabled=True)
        key = await added(keys, ada.id, "a", name="Zoë 'x'; --", scopes=("*",))
        await added(keys, ada.id, "b")
        assert await keys.find(digest("a")) == Held(key, ada)

    async def test_what_is_no_key_is_not_found(self, users, keys):
        ada = await account(users)
        await added(keys, ada.id, "a")
        assert await keys.find(digest("b")) is None
        assert await keys.find(b"") is None

    @pytest.mark.parametrize("nobody", ["0192d1a0-0000-7000-8000-00000000000f", "system"])
    async def test_nobody_has_no_key(self, keys, nobody):
        assert not await keys.add(key_of(nobody), digest("a"), 100)
        assert await keys.find(digest("a")) is None
        assert await keys.page(nobody, 10, None) == []

    async def test_a_user_has_so_many_and_others_have_theirs(self, users, keys):
        ada, eve = await account(users), await account(users, "eve@example.org")
        for number in range(3):
            assert await keys.add(key_of(ada.id), digest(f"a{number}"), 3)
        assert not await keys.add(key_of(ada.id), digest("a3"), 3)
        assert await keys.add(key_of(eve.id), digest("e"), 3)
        assert len(await keys.page(ada.id, 10, None)) == 3

    async def test_of_many_that_are_added_at_once_no_more_fit(self, users, keys):
        ada = await account(users)
        made = (keys.add(key_of(ada.id), digest(f"a{number}"), 3) for number in range(8))
        assert sorted(await asyncio.gather(*made)) == [False] * 5 + [True] * 3
        assert len(await keys.page(None, 10, None)) == 3

    async def test_adding_forgets_ones_own_expired_keys_only(self, users, keys):
        ada, eve = await account(users), await account(users, "eve@example.org")
        await added(keys, ada.id, "old", expires_at=NOW + 5)
        late = await added(keys, ada.id, "late", expires_at=NOW + 5.001)
        hers = await added(keys, eve.id, "hers", expires_at=NOW + 5)
        fresh = key_of(ada.id, created_at=NOW + 5)
        assert await keys.add(fresh, digest("fresh"), 2)
        assert await keys.page(None, 10, None) == [fresh, hers, late]
        assert await keys.find(digest("old")) is None

    async def test_pages_follow_one_another_the_newest_first(self, users, keys):
        ada, eve = await account(users), await account(users, "eve@example.org")
        made = [await added(keys, ada.id, f"a{number}") for number in range(3)]
        hers = await added(keys, eve.id, "e")
        assert await keys.page(ada.id, 2, None) == [made[2], made[1]]
        assert await keys.page(ada.id, 2, made[1].id) == [made[0]]
        assert await keys.page(ada.id, 2, made[0].id) == []
        assert await keys.page(None, 10, None) == [hers, *reversed(made)]

    async def test_a_removed_key_is_gone(self, users, keys):
        ada = await account(users)
        key, other = await added(keys, ada.id, "a"), await added(keys, ada.id, "b")
        assert await keys.remove(key.id, ada.id) == key
        assert await keys.remove(key.id, ada.id) is None
        assert await keys.find(digest("a")) is None
        assert await keys.page(ada.id, 10, None) == [other]
        assert await keys.remove(other.id, None) == other

    async def test_only_its_user_removes_a_key(self, users, keys):
        ada, eve = await account(users), await account(users, "eve@example.org")
        key = await added(keys, ada.id, "a")
        assert await keys.remove(key.id, eve.id) is None
        assert await keys.remove(key.id, "system") is None
        assert await keys.remove(new_id(), None) is None
        assert await keys.find(digest("a")) == Held(key, ada)

    async def test_the_last_use_is_noted_and_only_grows(self, users, keys):
        ada = await account(users)
        key, other = await added(keys, ada.id, "a"), await added(keys, ada.id, "b")
        for now in (NOW + 2, NOW + 1):
            await keys.touch(key.id, now)
        used = replace(key, last_used_at=NOW + 2)
        assert await keys.find(digest("a")) == Held(used, ada)
        assert await keys.page(ada.id, 10, None) == [other, used]
        assert await keys.remove(key.id, None) == used
        await keys.touch(key.id, NOW + 3)  # is no error


class TestInMemoryKeys(KeysContract):
    """Keeps them in a dictionary."""

    @pytest.fixture
    def users(self):
        return InMemoryUsers()

    @pytest.fixture
    def keys(self, users):
        return InMemoryKeys(users)


@pytest.mark.database
class TestPostgresKeys(KeysContract):
    """Keeps them in a table."""

    @pytest.fixture
    def users(self, pool):
        return PostgresUsers(pool)

    @pytest.fixture
    def keys(self, pool):
        return PostgresKeys(pool)

    async def test_no_key_is_stored_that_is_not_a_digest(self, users, keys):
        ada = await account(users)
        with pytest.raises(asyncpg.CheckViolationError):
            await keys.add(key_of(ada.id), b"the key itself", 100)

    async def test_erasing_a_user_erases_their_keys(self, users, keys, pool):
        ada = await account(users)
        await added(keys, ada.id, "a")
        await pool.execute("DELETE FROM users WHERE id = $1", ada.id)
        assert await keys.page(None, 10, None) == []

    async def test_a_lost_server_is_said_in_our_words(self, keys, pool):
        await pool.close()
        with pytest.raises(ServiceUnavailable):
            await keys.find(digest("a"))
