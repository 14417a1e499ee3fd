"""Tests of asking whether a token was taken back."""

import asyncio

import pytest

from cartrita.auth.claims import Claims
from cartrita.auth.revocation import Revocations
from cartrita.errors import ServiceUnavailable
from cartrita.protocol.principal import Role
from cartrita.storage.memory import InMemoryUsers
from cartrita.storage.ports import User

NOW = 1_700_000_000
CLAIMS = Claims("ada", "ada", Role.USER, ("tasks:*",), "jti", NOW, NOW + 3600, session="family")


class CountingUsers(InMemoryUsers):
    """Counts questions, and holds them up or fails when told to."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = False

    async def barred(self, ids, user_id):
        self.asked.append((tuple(ids), user_id))
        await self.gate.wait()
        if self.away:
            raise ServiceUnavailable
        return await super().barred(ids, user_id)


@pytest.fixture
async def store():
    users = CountingUsers()
    await users.add(User("ada", "ada@b.example", "Ada", Role.USER, "ada", NOW), "hash")
    return users


@pytest.fixture
def revocations(store, clock):
    return Revocations(store, clock, ttl=5)


async def test_the_store_is_asked_about_token_session_and_user(revocations, store):
    assert not await revocations.barred(CLAIMS)
    assert store.asked == [(("jti", "family"), "ada")]


async def test_the_user_of_a_v2_token_is_not_asked_for(revocations, store):
    v2 = Claims("v2", "v2", Role.USER, ("tasks:*",), "jti", NOW, NOW + 1, ours=False)
    assert not await revocations.barred(v2)
    assert store.asked == [(("jti",), None)]


async def test_an_answer_holds_for_a_while(revocations, store, clock):
    await revocations.barred(CLAIMS)
    await store.revoke((), ("jti",), NOW, NOW + 9999)
    clock.advance(4.9)
    assert not await revocations.barred(CLAIMS)
    clock.advance(0.1)
    assert await revocations.barred(CLAIMS)
    assert len(store.asked) == 2


async def test_a_revocation_holds_for_ever(revocations, store, clock):
    await store.revoke((), ("jti",), NOW, NOW + 1)
    assert await revocations.barred(CLAIMS)
    clock.advance(1000)
    await store.revoke((), (), clock.now(), clock.now())
    assert await revocations.barred(CLAIMS)
    assert len(store.asked) == 1


async def test_a_revocation_made_here_holds_at_once(revocations, store):
    assert not await revocations.barred(CLAIMS)
    revocations.bar("jti")
    assert await revocations.barred(CLAIMS)


async def test_many_callers_ask_once(revocations, store):
    store.gate.clear()
    callers = [asyncio.create_task(revocations.barred(CLAIMS)) for _ in range(10)]
    await asyncio.sleep(0)
    callers[0].cancel()
    store.gate.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [False] * 9
    assert len(store.asked) == 1


async def test_a_revocation_during_the_question_is_not_lost(revocations, store):
    store.gate.clear()
    asking = asyncio.create_task(revocations.barred(CLAIMS))
    await asyncio.sleep(0)
    revocations.bar("jti")
    store.gate.set()
    await asking
    assert await revocations.barred(CLAIMS)


async def test_a_store_that_is_away_lets_nobody_in(revocations, store, clock):
    await revocations.barred(CLAIMS)
    store.away = True
    assert not await revocations.barred(CLAIMS)
    clock.advance(5)
    with pytest.raises(ServiceUnavailable):
        await revocations.barred(CLAIMS)
    store.away = False
    assert not await revocations.barred(CLAIMS)


async def test_a_question_everybody_left_ends_quietly(revocations, store):
    store.gate.clear()
    store.away = True
    asking = asyncio.create_task(revocations.barred(CLAIMS))
    await asyncio.sleep(0)
    asking.cancel()
    store.gate.set()
    await asyncio.gather(asking, return_exceptions=True)
    store.away = False
    assert not await revocations.barred(CLAIMS)
