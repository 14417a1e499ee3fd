"""Tests of taking v2's accounts over."""

import bcrypt
import pytest

from cartrita.auth.identity import Identity
from cartrita.auth.keys import open_keys
from cartrita.auth.passwords import Argon2Profile, Passwords
from cartrita.auth.tokens import Tokens
from cartrita.auth.v2_tokens import v2_user
from cartrita.clock import ManualClock
from cartrita.errors import AuthenticationFailed
from cartrita.people.taking_over import take_over
from cartrita.people.v2_rows import checked
from cartrita.protocol.principal import Role
from cartrita.storage.memory import InMemoryUsers
from cartrita.storage.memory_people import InMemoryPeople

HASH = bcrypt.hashpw(b"v2 password 1", bcrypt.gensalt(4)).decode()


def row(number, email, **more):
    return {"id": number, "name": f"N{number}", "email": email, "password_hash": HASH, **more}


@pytest.fixture
def users():
    return InMemoryUsers()


async def run(users, rows, *, dry_run=False):
    people = InMemoryPeople(users)
    return await take_over(people, checked(rows), ManualClock(), dry_run=dry_run)


async def test_numbers_stay_and_nobody_becomes_an_administrator(users):
    rows = [row(1, "root@admin.cartrita.com", role="admin"), row(2, "b@example.org")]
    report = await run(users, rows)
    assert report.to_json() == {
        "dryRun": False,
        "rows": 2,
        "added": 2,
        "updated": 0,
        "kept": 0,
        "refused": 0,
        "refusals": [],
        "wereAdmins": [1],
    }
    found = await users.find(v2_user(1))
    assert (found.v2_id, found.role, found.tenant) == (1, Role.USER, found.id)


async def test_again_changes_nothing_and_bad_rows_do_not_stop_the_others(users):
    rows = [row(1, "a@example.org"), row(0, "bad@example.org"), row(2, "b@example.org")]
    await run(users, rows)
    before = dict(users.logins)
    report = await run(users, rows)
    assert (report.counts["kept"], report.counts["refused"]) == (2, 1)
    assert report.refused[0].place == 2
    assert users.logins == before


async def test_a_dry_run_changes_nothing(users):
    report = await run(users, [row(1, "a@example.org")], dry_run=True)
    assert report.counts["added"] == 1
    assert users.logins == {}


async def test_the_first_sign_in_replaces_v2s_hash_and_a_later_import_leaves_that(users, tmp_path):
    await run(users, [row(1, "a@example.org")])
    passwords = Passwords(Argon2Profile(1, 8))
    identity = Identity(users, Tokens(open_keys(tmp_path)), passwords, ManualClock())
    with pytest.raises(AuthenticationFailed):
        await identity.login("a@example.org", "v2 password 2")
    session = await identity.login("A@example.org", "v2 password 1")
    assert session.user.id == v2_user(1)
    assert users.logins[v2_user(1)].password_hash.startswith("$argon2id$")
    assert (await run(users, [row(1, "a@example.org")])).counts["kept"] == 1
    assert (await identity.login("a@example.org", "v2 password 1")).user.v2_id == 1
    passwords.close()
