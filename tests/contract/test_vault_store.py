"""What every keeper of providers' keys promises."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from cartrita.clock import ManualClock, new_id
from cartrita.errors import InternalFailure, ServiceUnavailable
from cartrita.protocol.principal import Role
from cartrita.storage.memory import InMemoryUsers
from cartrita.storage.memory_vault import InMemoryVaultBook, InMemoryVaultKeys
from cartrita.storage.ports import User
from cartrita.storage.postgres.retention import PostgresRetention
from cartrita.storage.postgres.users import PostgresUsers
from cartrita.storage.postgres.vaultbook import PostgresVaultBook
from cartrita.storage.postgres.vaultkeys import PostgresVaultKeys
from cartrita.storage.runtime import Keep
from cartrita.storage.vault import (
    Held,
    Rotation,
    RotationPolicy,
    Sealed,
    Tally,
    VaultEvent,
    VaultKey,
    Version,
)
from cartrita.vault.desk import NewKey, Owner, VaultDesk
from cartrita.vault.sealing import Seal
from tests.support.vault import MASTER

NOW = 1_700_000_000.5
DAY = 86_400.0
CANARY = "sk-canary-0123456789abcdef"


async def account(users, email="ada@example.org"):
    user_id = new_id()
    assert await users.add(User(user_id, email, "Ada", Role.USER, user_id, NOW), "hash")
    return user_id


def key_of(owner, name="main", **changes):
    key = VaultKey(new_id(), owner, "openai", name, NOW, NOW, NOW, rotate_days=90)
    return replace(key, **changes)


def version(number=1, at=NOW):
    sealed = Sealed("m", bytes(12), bytes([number]) * 20)
    return Version(number, sealed, f"sum{number}", at, "why")


async def added(keys, owner, name="main", **changes):
    key = key_of(owner, name, **changes)
    assert await keys.add(key, version(), 100) == "added"
    return key


@pytest.fixture
async def ada(users):
    return await account(users)


@pytest.fixture
async def eve(users):
    return await account(users, "eve@example.org")


class VaultContract:
    """Subclass it with fixtures `users`, `keys` and `book`."""

    async def test_a_key_is_found_as_it_was_kept(self, keys, ada):
        full = {
            "category": "ai", "visibility": "HIDDEN", "scopes": ("a", "b"),
            "tags": ("Zoë 'x'; --",),
            "metadata": {"a": [1, None, "\0"]}, "active": False, "expires_at": NOW + 5,
            "rotate_policy": "p", "rotate_days": None,
        }  # fmt: skip
        key = await added(keys, ada, **full)
        assert await keys.find(ada, key.id) == Held(key, version())
        assert await keys.named(ada, "openai", "main") == Held(key, version())
        assert await keys.all(ada) == [Held(key, version())]
        assert await keys.versions(ada, key.id) == [version()]

    async def test_a_name_is_taken_once_per_owner_and_provider(self, keys, ada, eve):
        await added(keys, ada)
        assert await keys.add(key_of(ada), version(), 100) == "taken"
        await added(keys, ada, provider="github")
        await added(keys, eve)
        await added(keys, None)
        assert await keys.add(key_of(None), version(), 100) == "taken"

    async def test_an_owner_has_so_many(self, keys, ada, eve):
        await added(keys, ada, "a")
        gone = await added(keys, ada, "b")
        await keys.remove(ada, gone.id, NOW)
        made = (keys.add(key_of(ada, f"{n}"), version(), 3) for n in range(5))
        assert sorted(await asyncio.gather(*made)) == ["added"] * 2 + ["full"] * 3
        assert await keys.add(key_of(eve), version(), 3) == "added"
        assert await keys.add(key_of(None), version(), 0) == "full"

    @pytest.mark.parametrize("nobody", ["0192d1a0-0000-7000-8000-00000000000f", "system"])
    async def test_nobody_has_no_keys(self, keys, book, nobody):
        assert await keys.add(key_of(nobody), version(), 9) == "nobody"
        assert await keys.all(nobody) == []
        await book.note(VaultEvent(nobody, "k", "d", NOW), 5)
        await book.prefer(nobody, {"a": 1})
        assert await book.events(nobody, 5) == []
        assert await book.preferences(nobody) == {}
        assert not await book.put_policy(policy(nobody), 5)

    async def test_nobody_reaches_anothers_key(self, keys, book, ada, eve):
        hers = await added(keys, ada)
        for other in (eve, None):
            assert await keys.find(other, hers.id) is None
            assert await keys.named(other, "openai", "main") is None
            assert await keys.versions(other, hers.id) == []
            assert not await keys.put(other, hers.id, version(2), 20)
            assert not await keys.reseal(other, hers.id, version())
            assert not await keys.change(replace(hers, owner=other))
            assert not await keys.remove(other, hers.id, NOW)
            await keys.touch(other, hers.id, NOW)
        assert not await book.schedule(Rotation(new_id(), eve, hers.id, "", NOW), 9)
        assert await keys.find(ada, hers.id) == Held(hers, version())
        for absent in (new_id(), "12"):
            assert await keys.find(ada, absent) is None

    async def test_values_follow_one_another_and_the_last_are_kept(self, keys, ada):
        key = await added(keys, ada)
        for number in (2, 3, 4):
            assert await keys.put(ada, key.id, version(number, NOW + number), 3)
        assert not await keys.put(ada, key.id, version(4), 3)
        assert not await keys.put(ada, key.id, version(6), 3)
        held = await keys.find(ada, key.id)
        assert (held.key.version, held.version.number) == (4, 4)
        assert held.key.rotated_at == held.key.updated_at == NOW + 4
        assert [one.number for one in await keys.versions(ada, key.id)] == [4, 3, 2]

    async def test_of_two_that_change_a_value_at_once_one_does(self, keys, ada):
        key = await added(keys, ada)
        puts = (keys.put(ada, key.id, version(2), 20) for _ in range(5))
        assert sorted(await asyncio.gather(*puts)) == [False] * 4 + [True]

    async def test_a_value_is_sealed_anew_in_its_place(self, keys, ada):
        key = await added(keys, ada)
        again = replace(version(), sealed=Sealed("n", bytes(12), bytes(30)), checksum="other")
        assert await keys.reseal(ada, key.id, again)
        assert not await keys.reseal(ada, key.id, replace(again, number=2))
        assert await keys.find(ada, key.id) == Held(key, again)

    async def test_what_is_said_of_a_key_changes_and_nothing_else(self, keys, ada):
        key = await added(keys, ada)
        await keys.touch(ada, key.id, NOW + 1)
        said = {
            "active": False, "expires_at": NOW + 9, "rotate_days": 5, "metadata": {"x": 1},
            "category": "c", "visibility": "V", "updated_at": NOW + 2, "scopes": ("s",),
        }  # fmt: skip
        assert await keys.change(replace(key, **said, name="other", version=9, used=7))
        assert (await keys.find(ada, key.id)).key == replace(
            key, **said, used=1, last_used_at=NOW + 1
        )

    async def test_a_deleted_key_comes_back_while_its_name_is_free(self, keys, ada):
        first = await added(keys, ada)
        assert await keys.remove(ada, first.id, NOW + 1)
        assert not await keys.remove(ada, first.id, NOW + 2)
        assert await keys.all(ada) == []
        second = await added(keys, ada)
        assert not await keys.restore(ada, "openai", "main", NOW + 3)
        assert await keys.remove(ada, second.id, NOW + 4)
        assert await keys.restore(ada, "openai", "main", NOW + 5)
        assert [held.key.id for held in await keys.all(ada)] == [second.id]
        assert not await keys.restore(ada, "openai", "absent", NOW)

    async def test_uses_are_counted(self, keys, ada):
        key = await added(keys, ada)
        for at in (NOW + 2, NOW + 1):
            await keys.touch(ada, key.id, at)
        assert (await keys.find(ada, key.id)).key == replace(key, used=2, last_used_at=NOW + 2)

    async def test_all_are_counted(self, keys, ada, eve):
        await added(keys, ada, expires_at=NOW)
        await added(keys, ada, "b", active=False, rotated_at=NOW - 90 * DAY)
        await added(keys, None, rotate_days=None)
        gone = await added(keys, eve)
        await keys.remove(eve, gone.id, NOW)
        assert await keys.census(NOW) == {
            "total": 3, "active": 2, "expired": 1, "due": 1, "owners": 1,
        }  # fmt: skip

    async def test_events_are_told_newest_first_and_the_last_are_kept(self, book, ada, eve):
        for number in range(4):
            told = VaultEvent(ada, f"k{number}", "d", NOW + number, "warning", {"n": number})
            await book.note(told, 3)
        await book.note(VaultEvent(eve, "hers", "d", NOW), 3)
        mine = await book.events(ada, 9)
        assert [(e.kind, e.severity, e.metadata) for e in mine] == [
            (f"k{n}", "warning", {"n": n}) for n in (3, 2, 1)
        ]
        assert [e.kind for e in await book.events(ada, 1, 1)] == ["k2"]
        assert [e.kind for e in await book.events(None, 2)] == ["hers", "k3"]

    async def test_events_are_counted_by_day(self, book, ada, eve):
        for at, kind in ((NOW, "a"), (NOW + 1, "a"), (NOW + DAY, "a"), (NOW, "b"), (NOW - 9, "b")):
            await book.note(VaultEvent(ada, kind, "d", at), 99)
        await book.note(VaultEvent(eve, "a", "d", NOW), 99)
        assert await book.tallies(ada, NOW) == [
            Tally("2023-11-15", "a", "info", 1),
            Tally("2023-11-14", "a", "info", 2),
            Tally("2023-11-14", "b", "info", 1),
        ]
        assert (await book.tallies(None, NOW))[1].times == 3

    async def test_a_token_shows_once_and_to_its_owner_only(self, keys, book, ada, eve):
        key = await added(keys, ada)
        digest = b"d" * 32
        await book.grant(digest, ada, key.id, NOW, NOW + 30)
        assert await book.outstanding(NOW) == 1
        assert await book.spend(digest, eve, NOW) is None
        spent = await asyncio.gather(*(book.spend(digest, ada, NOW + 29) for _ in range(4)))
        assert sorted(spent, key=str) == sorted([key.id, None, None, None], key=str)

    async def test_a_token_that_expired_shows_nothing(self, keys, book, ada):
        key = await added(keys, ada)
        await book.grant(b"a" * 32, ada, key.id, NOW, NOW + 30)
        await book.grant(b"b" * 32, ada, key.id, NOW, NOW + 30)
        assert await book.spend(b"a" * 32, ada, NOW + 30) is None
        assert await book.outstanding(NOW + 30) == 0
        assert await book.sweep(ada, NOW + 30) == 1

    async def test_choices_are_kept(self, book, ada):
        assert await book.preferences(ada) == {}
        for chosen in ({"a": 1}, {"b": "x"}):
            await book.prefer(ada, chosen)
        assert await book.preferences(ada) == {"b": "x"}
        assert await book.preferring() == 1

    async def test_a_policy_replaces_the_one_of_its_name(self, book, ada, eve):
        first, other = policy(ada), policy(ada, name="other")
        assert await book.put_policy(first, 2)
        assert await book.put_policy(other, 2)
        changed = replace(policy(ada), interval_days=7, created_at=NOW + 5, updated_at=NOW + 5)
        assert await book.put_policy(changed, 2)
        assert not await book.put_policy(policy(ada, name="third"), 2)
        kept = replace(changed, id=first.id, created_at=NOW)
        assert await book.policies(ada) == [kept, other]
        assert not await book.drop_policy(eve, first.id)
        assert await book.drop_policy(ada, first.id)
        assert await book.policies(ada) == [other]

    async def test_a_planned_change_is_done_once(self, keys, book, ada, eve):
        key = await added(keys, ada)
        plans = [Rotation(new_id(), ada, key.id, f"r{n}", NOW + n) for n in range(3)]
        for plan in plans:
            assert await book.schedule(plan, 2)
        assert await book.rotations(ada, 9) == [plans[2], plans[1]]
        assert await book.complete(eve, plans[2].id, NOW) is None
        done = replace(plans[2], completed_at=NOW + 9)
        assert await book.complete(ada, plans[2].id, NOW + 9) == done
        assert await book.complete(ada, plans[2].id, NOW + 10) is None
        assert await book.rotations(ada, 1) == [done]


def policy(owner, **changes):
    made = RotationPolicy(new_id(), owner, "openai", "default", 30, 7, True, True, NOW, NOW)
    return replace(made, **changes)


class TestInMemory(VaultContract):
    """Keeps them in dictionaries."""

    @pytest.fixture
    def users(self):
        return InMemoryUsers()

    @pytest.fixture
    def keys(self, users):
        return InMemoryVaultKeys(users)

    @pytest.fixture
    def book(self, users, keys):
        return InMemoryVaultBook(users, keys)


class NoAudit:
    """Notes nothing."""

    async def note(self, entry):
        assert CANARY not in repr(entry)


@pytest.mark.database
class TestPostgres(VaultContract):
    """Keeps them in tables."""

    @pytest.fixture
    async def pool(self, database_url):
        async with asyncpg.create_pool(database_url, min_size=1, max_size=6) as pool:
            yield pool

    @pytest.fixture
    def users(self, pool):
        return PostgresUsers(pool)

    @pytest.fixture
    def keys(self, pool):
        return PostgresVaultKeys(pool)

    @pytest.fixture
    def book(self, pool):
        return PostgresVaultBook(pool)

    @pytest.fixture
    def desk(self, keys, book):
        return VaultDesk(keys, book, NoAudit(), Seal(MASTER), ManualClock(NOW))

    async def test_no_value_is_in_the_database(self, desk, keys, pool, ada):
        me = Owner(ada, ada)
        held = await desk.add(me, NewKey(provider="openai", name="main", value=CANARY))
        await desk.rotate(me, held, f"{CANARY}-2", "because")
        held = await desk.find(me, held.key.id)
        token, _ = await desk.token(me, held.key.id)
        await desk.judged(me, held)
        assert await desk.reveal(me, held) == f"{CANARY}-2"
        tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert {"vault_keys", "vault_versions", "vault_reveals"} <= {row[0] for row in tables}
        for (table,) in tables:
            for row in await pool.fetch(f"SELECT * FROM {table}"):
                text = repr(tuple(row)) + "".join(
                    value.decode("latin-1") for value in row if isinstance(value, bytes)
                )
                assert CANARY[:12] not in text
                assert token not in text

    @pytest.mark.parametrize(
        "forgery",
        [
            "UPDATE vault_versions SET box = set_byte(box, 3, get_byte(box, 3) # 1)",
            "UPDATE vault_versions SET nonce = set_byte(nonce, 0, get_byte(nonce, 0) # 1)",
            "UPDATE vault_versions SET box = substr(box, 1, octet_length(box) - 1)",
            # Another's value in one's own row, and one's own row given to somebody else.
            (
                "UPDATE vault_versions v SET box = o.box, nonce = o.nonce FROM vault_versions o"
                " WHERE o.key <> v.key"
            ),
            "UPDATE vault_keys SET owner = NULL, provider = provider || id",
            (
                "UPDATE vault_keys k SET owner = o.owner, name = k.id::text FROM vault_keys o"
                " WHERE o.id <> k.id"
            ),
            # An old value in the place of the new one.
            (
                "UPDATE vault_versions v SET box = o.box, nonce = o.nonce FROM vault_versions o"
                " WHERE o.key = v.key AND o.number < v.number"
            ),
        ],
    )
    async def test_a_row_that_was_changed_or_moved_does_not_open(
        self, desk, keys, pool, ada, eve, forgery
    ):
        for owner in (ada, eve):
            me = Owner(owner, owner)
            held = await desk.add(me, NewKey(provider="openai", name="m", value=f"{CANARY}{owner}"))
            await desk.rotate(me, held, f"{CANARY}{owner}-2")
        await pool.execute(forgery)
        found = [held for owner in (ada, eve, None) for held in await keys.all(owner)]
        assert len(found) == 2
        for held in found:
            with pytest.raises(InternalFailure, match="was changed or moved"):
                desk.value(held)

    async def test_erasing_a_user_erases_their_keys(self, keys, book, pool, ada):
        key = await added(keys, ada)
        await added(keys, None)
        await book.note(VaultEvent(ada, "k", "d", NOW), 9)
        await book.schedule(Rotation(new_id(), ada, key.id, "", NOW), 9)
        await pool.execute("DELETE FROM users WHERE id = $1", ada)
        assert await keys.all(ada) == await book.events(ada, 9) == []
        assert len(await keys.all(None)) == 1
        assert await pool.fetchval("SELECT count(*) FROM vault_versions") == 1

    async def test_what_was_deleted_long_ago_is_forgotten(self, keys, pool, ada):
        old, late = await added(keys, ada, "x"), await added(keys, None, "y")
        await keys.remove(ada, old.id, NOW)
        await keys.remove(None, late.id, NOW + 1)
        retention = PostgresRetention(pool, ManualClock(NOW + 30 * DAY + 1))
        assert await retention.forget(Keep(DAY, DAY, DAY)) == 1
        assert await retention.forget(Keep(DAY, DAY, DAY)) == 0
        assert not await keys.restore(ada, "openai", "x", NOW)
        assert await keys.restore(None, "openai", "y", NOW)

    async def test_a_lost_server_is_said_in_our_words(self, keys, book, pool):
        await pool.close()
        with pytest.raises(ServiceUnavailable):
            await keys.all(None)
        with pytest.raises(ServiceUnavailable):
            await book.preferring()
