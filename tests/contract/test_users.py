"""What every keeper of accounts promises."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable
from cartrita.protocol.principal import Role
from cartrita.storage.memory import InMemoryUsers
from cartrita.storage.ports import Grant, Login, Renewal, User
from cartrita.storage.postgres.users import PostgresUsers

NOW = 1_700_000_000.5
DAY = 86_400.0


def digest(text):
    return text.encode().ljust(32, b".")


def account(email="ada@example.org", **changes):
    user_id = new_id()
    return replace(User(user_id, email, "Ada L.", Role.USER, user_id, NOW), **changes)


async def signed_in(users, token="first", **changes):
    """Add an account with one session; return both."""
    user = account(**changes)
    assert await users.add(user, "hash")
    grant = Grant(digest(token), new_id(), user.id, NOW, NOW + DAY)
    await users.grant(grant)
    return user, grant.family


async def renew(users, spent, fresh, now=NOW):
    return await users.renew(digest(spent), digest(fresh), now, now + DAY)


class UsersContract:
    """Subclass it with a fixture `users`."""

    async def test_an_account_is_found_by_id_and_by_address(self, users):
        user = account(role=Role.ADMIN, tenant="workspace", name="Zoë 'x'; --")
        assert await users.add(user, "hash")
        assert await users.find(user.id) == user
        assert await users.find_login(user.email) == Login(user, "hash")

    async def test_nobody_is_found_where_nobody_is(self, users):
        await users.add(account(), "hash")
        assert await users.find(new_id()) is None
        assert await users.find("system") is None
        assert await users.find_login("eve@example.org") is None
        assert await users.find_login("") is None

    async def test_an_address_is_taken_once(self, users):
        first = account()
        assert await users.add(first, "hash")
        assert not await users.add(account(), "other")
        assert await users.find_login(first.email) == Login(first, "hash")

    async def test_of_many_who_want_an_address_at_once_one_gets_it(self, users):
        results = await asyncio.gather(*(users.add(account(), "hash") for _ in range(8)))
        assert sorted(results) == [False] * 7 + [True]

    async def test_a_password_is_replaced(self, users):
        user = account()
        await users.add(user, "hash")
        await users.set_password(user.id, "newer")
        assert (await users.find_login(user.email)).password_hash == "newer"

    async def test_a_password_of_nobody_is_no_error(self, users):
        await users.set_password(new_id(), "newer")
        await users.set_password("system", "newer")

    async def test_a_refresh_token_goes_on_in_its_family(self, users):
        user, family = await signed_in(users)
        assert await renew(users, "first", "second") == Renewal(user, family)
        assert await renew(users, "second", "third") == Renewal(user, family)

    async def test_an_unknown_refresh_token_is_worth_nothing(self, users):
        await signed_in(users)
        assert await renew(users, "unknown", "second") == Renewal()
        assert await renew(users, "second", "third") == Renewal()

    async def test_a_spent_refresh_token_is_recognised(self, users):
        _, family = await signed_in(users)
        await renew(users, "first", "second")
        assert await renew(users, "first", "stolen") == Renewal(reused=family)
        assert await renew(users, "stolen", "more") == Renewal()

    @pytest.mark.parametrize("callers", [2, 8])
    async def test_of_many_who_spend_a_token_at_once_one_succeeds(self, users, callers):
        user, family = await signed_in(users)
        calls = (renew(users, "first", f"next {n}") for n in range(callers))
        results = await asyncio.gather(*calls)
        assert results.count(Renewal(user, family)) == 1
        assert results.count(Renewal(reused=family)) == callers - 1

    async def test_a_refresh_token_expires(self, users):
        await signed_in(users)
        assert await renew(users, "first", "second", NOW + DAY) == Renewal()
        assert (await renew(users, "first", "second", NOW + DAY - 0.001)).user is not None

    async def test_a_successor_expires_by_its_own_time(self, users):
        await signed_in(users)
        await renew(users, "first", "second", NOW + 1)
        assert (await renew(users, "second", "third", NOW + DAY)).user is not None
        assert await renew(users, "third", "fourth", NOW + 2 * DAY) == Renewal()

    async def test_a_disabled_user_renews_nothing_and_is_barred(self, users):
        user, _ = await signed_in(users, disabled=True)
        assert await renew(users, "first", "second") == Renewal()
        assert await users.barred([], user.id)

    async def test_signing_in_forgets_ones_own_expired_tokens_only(self, users):
        ada, old = await signed_in(users)
        eve, hers = await signed_in(users, "eves", email="eve@example.org")
        fresh = Grant(digest("later"), new_id(), ada.id, NOW + DAY, NOW + 2 * DAY)
        await users.grant(fresh)
        assert await users.families(ada.id) == (fresh.family,)
        assert await users.families(eve.id) == (hers,)
        assert old not in await users.families(ada.id)

    async def test_a_user_has_families_and_each_token_is_of_one(self, users):
        ada, family = await signed_in(users)
        await signed_in(users, "eves", email="eve@example.org")
        await renew(users, "first", "second")
        other = Grant(digest("phone"), new_id(), ada.id, NOW, NOW + DAY)
        await users.grant(other)
        assert await users.families(ada.id) == tuple(sorted([family, other.family]))
        assert await users.families(ada.id, digest("second")) == (family,)
        assert await users.families(ada.id, digest("eves")) == ()
        assert await users.families(ada.id, digest("unknown")) == ()
        assert await users.families("system") == ()

    async def test_revoking_a_family_ends_all_its_tokens_and_no_others(self, users):
        user, family = await signed_in(users)
        other = Grant(digest("phone"), new_id(), user.id, NOW, NOW + DAY)
        await users.grant(other)
        await renew(users, "first", "second")
        await users.revoke([family], ["jti"], NOW, NOW + DAY)
        assert await renew(users, "first", "stolen") == Renewal()
        assert await renew(users, "second", "third") == Renewal()
        assert await renew(users, "phone", "phone 2") == Renewal(user, other.family)
        assert await users.barred([family], user.id)
        assert await users.barred(["x", "jti"], user.id)
        assert not await users.barred([other.family, "x"], user.id)

    async def test_revoking_again_or_nothing_is_no_error(self, users):
        _, family = await signed_in(users)
        for _ in range(2):
            await users.revoke([family, family, new_id()], ["jti", "jti"], NOW, NOW + DAY)
        await users.revoke([], [], NOW, NOW + DAY)
        assert await users.barred(["jti"], None)

    async def test_what_is_barred_is_forgotten_after_its_time(self, users):
        await users.revoke([], ["early"], NOW, NOW + 10)
        await users.revoke([], ["late"], NOW, NOW + 20)
        await users.revoke([], [], NOW + 10, NOW + 30)
        assert not await users.barred(["early"], None)
        assert await users.barred(["late"], None)

    async def test_a_family_stays_revoked_after_its_bar_is_forgotten(self, users):
        _, family = await signed_in(users)
        await users.revoke([family], [], NOW, NOW + 10)
        await users.revoke([], [], NOW + 20, NOW + 30)
        assert not await users.barred([family], None)
        assert await renew(users, "first", "second", NOW + 20) == Renewal()

    async def test_only_accounts_are_welcome(self, users):
        user, _ = await signed_in(users)
        assert not await users.barred(["jti"], user.id)
        assert not await users.barred(["jti"], None)
        assert await users.barred(["jti"], new_id())
        assert await users.barred(["jti"], "system")

    async def test_nothing_slips_through_between_renewing_and_revoking(self, users):
        for round_ in range(10):
            user, family = await signed_in(users, f"{round_}a", email=f"u{round_}@example.org")
            await asyncio.gather(
                renew(users, f"{round_}a", f"{round_}b"),
                users.revoke([family], [], NOW, NOW + DAY),
                renew(users, f"{round_}b", f"{round_}c"),
            )
            for token in "abc":
                assert (await renew(users, f"{round_}{token}", new_id()[:32])).user is None
            assert await users.families(user.id) == (family,)


class TestInMemoryUsers(UsersContract):
    """Keeps them in dictionaries."""

    @pytest.fixture
    def users(self):
        return InMemoryUsers()


@pytest.mark.database
class TestPostgresUsers(UsersContract):
    """Keeps them in tables."""

    @pytest.fixture
    def users(self, pool):
        return PostgresUsers(pool)

    async def test_a_second_spelling_of_an_address_is_refused_by_the_table(self, users):
        with pytest.raises(asyncpg.CheckViolationError):
            await users.add(account("ADA@example.org"), "hash")

    async def test_no_token_is_stored_that_is_not_a_digest(self, users):
        user = account()
        await users.add(user, "hash")
        with pytest.raises(asyncpg.CheckViolationError):
            await users.grant(Grant(b"the token itself", new_id(), user.id, NOW, NOW + DAY))

    async def test_erasing_a_user_erases_their_sessions(self, users, pool):
        user, _ = await signed_in(users)
        await pool.execute("DELETE FROM users WHERE id = $1", user.id)
        assert await users.families(user.id) == ()
        assert await users.barred(["jti"], user.id)

    async def test_waiting_for_a_connection_ends(self, pool):
        users = PostgresUsers(pool, timeout=0.05)
        busy = [await pool.acquire() for _ in range(pool.get_max_size())]
        with pytest.raises(ServiceUnavailable) as caught:
            await users.find(new_id())
        assert caught.value.retry_after
        for connection in busy:
            await pool.release(connection)
        assert await users.find(new_id()) is None

    async def test_a_lost_server_is_said_in_our_words(self, pool):
        users = PostgresUsers(pool)
        await pool.close()
        with pytest.raises(ServiceUnavailable):
            await users.barred(["jti"], None)
