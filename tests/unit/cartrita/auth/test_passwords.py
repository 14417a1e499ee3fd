"""Tests of hashing passwords."""

import asyncio
import traceback

import bcrypt
import pytest
from argon2 import PasswordHasher, Type, extract_parameters

from cartrita.auth.passwords import Argon2Profile, Passwords
from cartrita.errors import InvalidParameters, ServiceUnavailable


def test_the_default_cost_is_the_one_owasp_names():
    stored = Argon2Profile().hasher().hash("correct horse")
    used = extract_parameters(stored)
    assert (used.time_cost, used.memory_cost, used.parallelism) == (2, 19456, 1)
    assert used.type is Type.ID


async def test_a_password_matches_its_own_hash_only(passwords):
    stored = await passwords.hash("correct horse")
    assert await passwords.matches(stored, "correct horse")
    assert not await passwords.matches(stored, "correct horsf")
    assert "correct" not in stored


async def test_two_hashes_of_one_password_differ(passwords):
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_no_password_matches_where_there_is_no_hash(passwords):
    assert not await passwords.matches(None, "nobody's password")


async def test_a_broken_hash_matches_nothing(passwords):
    assert not await passwords.matches("not a hash", "correct horse")


async def test_two_spellings_of_one_character_are_one_password(passwords):
    stored = await passwords.hash("ﬁancé-ﬁancé")
    assert await passwords.matches(stored, "fiance\u0301-fiance\u0301")


@pytest.mark.parametrize("password", ["", "x" * 7, "x" * 257, "secret-\ud800-canary"])
async def test_a_password_outside_the_rules_is_refused_unseen(passwords, password):
    with pytest.raises(InvalidParameters) as caught:
        await passwords.hash(password)
    assert [field.field for field in caught.value.fields] == ["password"]
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("password", ["x" * 8, "x" * 256, "\0" * 8])
async def test_a_password_at_the_edge_of_the_rules_is_taken(passwords, password):
    assert await passwords.matches(await passwords.hash(password), password)


async def test_a_password_beyond_the_rules_matches_nothing(passwords):
    stored = PasswordHasher(1, 8, 1).hash("x" * 257)
    assert not await passwords.matches(stored, "x" * 257)


async def test_a_hash_of_v2_is_compared_and_outdated(passwords):
    stored = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()
    assert await passwords.matches(stored, "correct horse")
    assert not await passwords.matches(stored, "correct horsf")
    assert passwords.outdated(stored)


async def test_v2_compared_what_was_typed_and_72_bytes_of_it(passwords):
    typed = "fiance\u0301 " + "x" * 64
    stored = bcrypt.hashpw(typed.encode()[:72], bcrypt.gensalt(4)).decode()
    assert await passwords.matches(stored, typed)
    assert await passwords.matches(stored, typed + "and whatever")
    assert not await passwords.matches(stored, "fiancé " + "x" * 64)


async def test_a_short_password_of_v2_goes_on(passwords):
    stored = bcrypt.hashpw(b"short1", bcrypt.gensalt(4)).decode()
    assert await passwords.matches(stored, "short1")
    again = await passwords.rehash("short1")
    assert again.startswith("$argon2id$")
    assert await passwords.matches(again, "short1")


@pytest.mark.parametrize("stored", ["$2b$", "$2b$99$" + "x" * 53, "$2b$04$\u00e9" + "x" * 52, "$2"])
async def test_a_broken_hash_of_v2_matches_nothing(passwords, stored):
    assert not await passwords.matches(stored, "correct horse")


async def test_a_hash_of_another_cost_is_outdated(passwords):
    assert passwords.outdated(PasswordHasher(2, 16, 1).hash("correct horse"))
    assert not passwords.outdated(await passwords.hash("correct horse"))


async def test_a_flood_of_sign_ins_is_refused_beyond_the_bound():
    few = Passwords(Argon2Profile(1, 8), threads=1, waiting=1)
    calls = [few.hash("correct horse") for _ in range(5)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, ServiceUnavailable)]
    assert len(refused) == 3
    assert all(error.retry_after for error in refused)
    assert await few.hash("and now there is room again")
    few.close()
