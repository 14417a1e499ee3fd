"""What every keeper of accounts by number, and of documents, promises."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from cartrita.auth.v2_tokens import v2_user
from cartrita.clock import new_id
from cartrita.errors import NotFound, ResourceLimitExceeded
from cartrita.protocol.principal import Role
from cartrita.storage.memory import InMemoryUsers
from cartrita.storage.memory_people import InMemoryDocuments, InMemoryPeople
from cartrita.storage.people import FIRST_NUMBER, LARGEST, Person
from cartrita.storage.ports import Grant, User
from cartrita.storage.postgres.documents import PostgresDocuments
from cartrita.storage.postgres.people import PostgresPeople
from cartrita.storage.postgres.threads import PostgresConversations
from cartrita.storage.postgres.users import PostgresUsers
from cartrita.storage.threads import Owner, Turn

NOW = 1_700_000_000.5
V2_HASH, OTHER_HASH = "$2b$12$first", "$2b$12$second"


def account(email="ada@example.org", name="Ada", **changes):
    user_id = new_id()
    return replace(User(user_id, email, name, Role.USER, user_id, NOW), **changes)


def of_v2(number, email="old@example.org", name="Old"):
    user_id = v2_user(number)
    user = User(user_id, email, name, Role.USER, user_id, NOW - 9, v2_id=number)
    return Person(user, user.created_at, v2_password=True)


async def added(users, *args, **changes):
    user = account(*args, **changes)
    assert await users.add(user, "hash")
    return user


@pytest.fixture(scope="module")
def one_database(services):
    """Give one database to all tests of this file: making one takes longer than emptying it."""
    with services.fresh_database() as url:
        yield url


class PeopleContract:
    """Subclass it with fixtures `users`, `people` and `documents` over the same accounts."""

    async def test_every_account_has_a_number_of_its_own_beyond_those_of_v2(self, users, people):
        made = [await added(users, f"u{n}@example.org") for n in range(3)]
        numbers = [(await people.find(user.id)).number for user in made]
        assert len(set(numbers)) == 3
        assert min(numbers) >= FIRST_NUMBER
        assert (await users.find(made[0].id)).v2_id == numbers[0]
        assert (await people.find(made[0].id)).user == made[0]

    async def test_nobody_is_found_where_nobody_is(self, people):
        assert await people.find(new_id()) is None
        assert await people.find("system") is None
        assert await people.meant("nobody") is None
        assert await people.meant("\x00\ud800") is None

    async def test_an_address_or_a_name_means_an_account_in_any_case(self, users, people):
        ada = await added(users, name="Ada Lovelace")
        for login in ("ADA@example.org", "ada@EXAMPLE.org", "ada lovelace", "Ada Lovelace"):
            assert (await people.meant(login)).user == ada
        assert await people.meant("ada") is None

    async def test_the_oldest_of_a_name_is_meant_and_an_address_goes_before_names(
        self, users, people
    ):
        old = await added(users, "a@example.org", "Ada", created_at=NOW - 100)
        await added(users, "b@example.org", "ada", created_at=NOW)
        await added(users, "c@example.org", "gone", disabled=True)
        liar = await added(users, "d@example.org", "a@example.org", created_at=NOW - 999)
        assert (await people.meant("ADA")).user == old
        assert (await people.meant("a@example.org")).user == old
        assert (await people.meant("d@example.org")).user == liar
        assert await people.meant("gone") is None

    async def test_name_and_address_are_replaced(self, users, people):
        ada = await added(users)
        changed = await people.change(ada.id, "Countess", "c@example.org", NOW + 5)
        assert (changed.user.name, changed.user.email) == ("Countess", "c@example.org")
        assert changed.changed_at == NOW + 5
        assert await people.find(ada.id) == changed
        assert await users.find_login("ada@example.org") is None

    async def test_what_is_another_accounts_is_not_taken(self, users, people):
        ada = await added(users)
        await added(users, "eve@example.org", "Eve")
        await added(users, "c@example.org", "ADA")
        assert await people.change(ada.id, "Ada", "eve@example.org", NOW) is None
        assert await people.change(ada.id, "EVE", "ada@example.org", NOW) is None
        assert (await people.change(ada.id, "aDa", "ada@example.org", NOW)).user.name == "aDa"
        assert await people.change(new_id(), "New", "new@example.org", NOW) is None

    async def test_accounts_are_listed_by_number(self, users, people):
        for n in range(5):
            await added(users, f"u{n}@example.org")
        await people.take_over(of_v2(7), V2_HASH)
        first = await people.page(4)
        rest = await people.page(4, first[-1].number)
        numbers = [person.number for person in first + rest]
        assert numbers == sorted(numbers)
        assert numbers[0] == 7
        assert len(numbers) == 6

    async def test_an_account_of_v2_is_taken_over_once(self, users, people):
        assert await people.take_over(of_v2(7), V2_HASH) == "added"
        assert await people.take_over(of_v2(7), V2_HASH) == "kept"
        found = await people.find(v2_user(7))
        assert found == of_v2(7)
        assert found.number == 7
        assert (await users.find_login("old@example.org")).password_hash == V2_HASH

    async def test_v2_has_the_last_word_until_somebody_signs_in_here(self, users, people):
        await people.take_over(of_v2(7), V2_HASH)
        renamed = of_v2(7, name="New")
        assert await people.take_over(renamed, OTHER_HASH) == "updated"
        assert (await people.find(v2_user(7))).user.name == "New"
        await users.set_password(v2_user(7), "$argon2id$ours")
        assert await people.take_over(of_v2(7), V2_HASH) == "kept"
        login = await users.find_login("old@example.org")
        assert (login.user.name, login.password_hash) == ("New", "$argon2id$ours")
        assert not (await people.find(v2_user(7))).v2_password

    async def test_an_address_that_is_in_use_is_not_taken_over(self, users, people):
        ada = await added(users)
        assert await people.take_over(of_v2(7, ada.email), V2_HASH) == "taken"
        assert await people.find(v2_user(7)) is None
        assert (await users.find_login(ada.email)).user == ada

    async def test_a_dry_run_tells_the_same_and_does_nothing(self, users, people):
        ada = await added(users)
        await people.take_over(of_v2(1, "one@example.org"), V2_HASH)
        cases = (
            ("added", of_v2(7), V2_HASH),
            ("taken", of_v2(8, ada.email), V2_HASH),
            ("updated", of_v2(1, "one@example.org"), OTHER_HASH),
            ("kept", of_v2(1, "one@example.org"), V2_HASH),
        )
        for outcome, person, hashed in cases:
            assert await people.take_over(person, hashed, dry=True) == outcome
        assert await people.find(v2_user(7)) is None
        assert (await users.find_login("one@example.org")).password_hash == V2_HASH

    async def test_a_closed_account_is_empty_and_barred_and_stays_so(
        self, users, people, documents
    ):
        await people.take_over(of_v2(7), V2_HASH)
        user_id = v2_user(7)
        await users.grant(Grant(b"." * 32, new_id(), user_id, NOW, NOW + 10))
        await documents.merge(user_id, "kind", {"a": 1}, NOW)
        assert await people.close(user_id, NOW + 1)
        assert not await people.close(user_id, NOW + 2)
        assert not await people.close(new_id(), NOW + 2)
        closed = await people.find(user_id)
        assert (closed.user.name, closed.user.disabled, closed.number) == ("", True, 7)
        assert "old" not in closed.user.email
        assert await users.families(user_id) == ()
        assert await users.barred([], user_id)
        assert await documents.get(user_id, "kind") is None
        assert await users.find_login("old@example.org") is None
        assert await people.take_over(of_v2(7), V2_HASH) == "kept"
        assert (await people.find(user_id)).user.disabled

    async def test_the_address_and_the_name_of_a_closed_account_are_free(self, users, people):
        ada = await added(users)
        await people.close(ada.id, NOW)
        assert await people.meant("Ada") is None
        assert (await added(users)).email == ada.email

    async def test_a_document_is_made_and_merged(self, users, documents):
        ada = await added(users)
        assert await documents.get(ada.id, "kind") is None
        made = await documents.merge(ada.id, "kind", {"a": 1, "b": {"c": "ä\U0001f600"}}, NOW)
        assert (made.number, made.made_at, made.changed_at) == (0, NOW, NOW)
        merged = await documents.merge(ada.id, "kind", {"a": None, "d": [1]}, NOW + 1)
        assert merged.value == {"a": None, "b": {"c": "ä\U0001f600"}, "d": [1]}
        assert (merged.made_at, merged.changed_at) == (NOW, NOW + 1)
        assert await documents.get(ada.id, "kind") == merged
        assert await documents.get(ada.id, "other") is None
        assert await documents.get(new_id(), "kind") is None

    async def test_changes_at_once_do_not_lose_each_other(self, users, documents):
        ada = await added(users)
        changes = ({str(n): n} for n in range(8))
        await asyncio.gather(*(documents.merge(ada.id, "k", one, NOW) for one in changes))
        assert (await documents.get(ada.id, "k")).value == {str(n): n for n in range(8)}

    async def test_nothing_is_kept_for_who_is_no_account(self, documents):
        for user_id in (new_id(), "guest"):
            with pytest.raises(NotFound):
                await documents.merge(user_id, "kind", {}, NOW)
            assert await documents.add(user_id, "kind", {}, NOW, 5) is None
            assert await documents.list(user_id, "kind") == []

    async def test_a_document_is_bounded_also_when_it_grows(self, users, documents):
        ada = await added(users)
        half = "x" * (LARGEST // 2)
        await documents.merge(ada.id, "kind", {"a": half}, NOW)
        with pytest.raises(ResourceLimitExceeded):
            await documents.merge(ada.id, "kind", {"b": half}, NOW)
        with pytest.raises(ResourceLimitExceeded):
            await documents.add(ada.id, "kind", {"a": half + half}, NOW, 5)
        assert (await documents.get(ada.id, "kind")).value == {"a": half}

    async def test_documents_are_numbered_counted_and_removed(self, users, documents):
        ada = await added(users)
        eve = await added(users, "eve@example.org")
        first = await documents.add(ada.id, "kind", {"n": 1}, NOW, 2)
        second = await documents.add(ada.id, "kind", {"n": 2}, NOW + 1, 2)
        assert 0 < first.number < second.number
        assert await documents.add(ada.id, "kind", {"n": 3}, NOW, 2) is None
        assert await documents.list(ada.id, "kind") == [second, first]
        assert not await documents.remove(eve.id, "kind", first.number)
        assert await documents.remove(ada.id, "kind", first.number)
        assert not await documents.remove(ada.id, "kind", first.number)
        assert await documents.list(ada.id, "kind") == [second]

    async def test_of_many_added_at_once_no_more_are_kept_than_may_be(self, users, documents):
        ada = await added(users)
        adding = (documents.add(ada.id, "kind", {"n": n}, NOW, 3) for n in range(8))
        kept = [one for one in await asyncio.gather(*adding) if one]
        assert len(kept) == len(await documents.list(ada.id, "kind")) == 3


class TestInMemoryPeople(PeopleContract):
    """Keeps them in dictionaries."""

    @pytest.fixture
    def users(self):
        return InMemoryUsers()

    @pytest.fixture
    def documents(self, users):
        return InMemoryDocuments(users)

    @pytest.fixture
    def people(self, users, documents):
        return InMemoryPeople(users, documents)


@pytest.mark.database
class TestPostgresPeople(PeopleContract):
    """Keeps them in tables."""

    @pytest.fixture
    async def pool(self, one_database):
        async with asyncpg.create_pool(one_database, min_size=1, max_size=4) as pool:
            yield pool
            await pool.execute("TRUNCATE users, conversation_turns, conversation_summaries CASCADE")

    @pytest.fixture
    def users(self, pool):
        return PostgresUsers(pool)

    @pytest.fixture
    def documents(self, pool):
        return PostgresDocuments(pool)

    @pytest.fixture
    def people(self, pool):
        return PostgresPeople(pool)

    async def test_no_document_holds_what_the_database_cannot(self, users, documents):
        ada = await added(users)
        made = await documents.merge(ada.id, "kind", {"a": "\x00 and \ud800"}, NOW)
        assert made.value == {"a": "\ufffd and ?"}

    async def test_closing_an_account_deletes_its_keys(self, users, people, pool):
        ada = await added(users)
        await pool.execute(
            "INSERT INTO api_keys (id, hash, user_id, name, scopes, expires_at)"
            " VALUES ($1, $2, $1, 'k', '{}', now())",
            ada.id,
            b"." * 32,
        )
        await people.close(ada.id, NOW)
        assert await pool.fetchval("SELECT count(*) FROM api_keys") == 0

    async def test_closing_an_account_deletes_what_it_said_and_nobody_elses(
        self, users, people, pool
    ):
        ada, eve = await added(users), await added(users, "eve@example.org")
        kept = PostgresConversations(pool)
        for user in (ada, eve):
            await kept.add(Owner(user.tenant, user.id, "s"), [Turn("user", "hi", "t")])
            await kept.fold(Owner(user.tenant, user.id, "old"), 0, "A summary.", "")
        await people.close(ada.id, NOW)
        for table in ("conversation_turns", "conversation_summaries"):
            left = await pool.fetch(f"SELECT user_id FROM {table}")
            assert [row["user_id"] for row in left] == [eve.id]
