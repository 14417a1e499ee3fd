"""What everything that keeps circuits for several hosts promises."""

import asyncio
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.clock import new_id
from cartrita.errors import ServiceUnavailable
from cartrita.storage.circuits import FAILURES, LONGEST, LOOK, REST, WITHIN, Circuit
from cartrita.storage.memory_circuits import InMemoryCircuits
from cartrita.storage.valkey_circuits import ValkeyCircuits

NOW = 1_700_000_000.0


def failed(circuit, *, now=NOW):
    return circuit.failed(now)


def broken(times=FAILURES, now=NOW):
    circuit = Circuit()
    for _ in range(times):
        circuit = circuit.failed(now)
    return circuit


def test_it_opens_at_the_last_of_so_many_failures():
    assert broken(FAILURES - 1).wait(NOW) == 0
    assert broken().wait(NOW) == REST


def test_failures_far_apart_do_not_add_up():
    circuit = Circuit()
    for n in range(FAILURES * 3):
        circuit = circuit.failed(NOW + n * (WITHIN + 1))
    assert circuit.wait(NOW) == 0


def test_calls_that_were_under_way_when_it_opened_do_not_lengthen_the_rest():
    assert broken(FAILURES * 10).until == NOW + REST


def test_a_look_that_never_ended_does_not_block_it_for_ever():
    looked = broken().asked(NOW + REST)
    assert looked.wait(NOW + REST) == LOOK
    assert looked.wait(NOW + REST + LOOK) == 0


@given(st.lists(st.tuples(st.sampled_from(["ask", "fail", "succeed"]), st.floats(0, 100))))
def test_nobody_waits_longer_than_the_longest_rest(steps):
    circuit, now = Circuit(), NOW
    for step, later in steps:
        now += later
        if step == "ask":
            circuit = circuit.asked(now)
        elif step == "fail":
            circuit = circuit.failed(now)
        else:
            circuit = Circuit()
        assert 0 <= circuit.wait(now) <= max(LONGEST, LOOK) + 1e-6


class CircuitsContract:
    """Subclass it with a fixture `circuits`."""

    async def test_a_new_one_is_closed(self, circuits):
        before, after = await circuits.change(new_id(), lambda circuit: circuit)
        assert before == after == Circuit()

    async def test_what_is_changed_is_there_for_the_next(self, circuits):
        key = new_id()
        _, after = await circuits.change(key, failed)
        before, _ = await circuits.change(key, failed)
        assert before == after == Circuit(failures=1, since=NOW)

    async def test_each_name_has_its_own(self, circuits):
        await circuits.change(new_id(), failed)
        before, _ = await circuits.change(new_id(), failed)
        assert before == Circuit()

    async def test_no_failure_is_lost_when_many_come_at_once(self, circuits):
        key = new_id()
        await asyncio.gather(*(circuits.change(key, failed) for _ in range(FAILURES - 1)))
        before, _ = await circuits.change(key, lambda circuit: circuit)
        assert before.failures == FAILURES - 1

    async def test_one_of_many_who_ask_at_once_may_look(self, circuits):
        key, later = new_id(), NOW + REST
        await circuits.change(key, lambda _: broken())
        asked = partial(Circuit.asked, now=later)
        answers = await asyncio.gather(*(circuits.change(key, asked) for _ in range(4)))
        assert [before.wait(later) for before, _ in answers].count(0) == 1


class TestInMemoryCircuits(CircuitsContract):
    """In one process."""

    @pytest.fixture
    def circuits(self):
        return InMemoryCircuits()


@pytest.mark.database
class TestValkeyCircuits(CircuitsContract):
    """In the embedded server."""

    @pytest.fixture
    async def circuits(self, services):
        opened = ValkeyCircuits(services.redis_url, timeout=10, prefix=f"test:{new_id()}:")
        yield opened
        await opened.close()

    async def test_two_hosts_see_the_same(self, circuits, services):
        other = ValkeyCircuits(services.redis_url, timeout=10, prefix=circuits._prefix)
        key = new_id()
        await circuits.change(key, lambda _: broken())
        before, _ = await other.change(key, lambda circuit: circuit)
        assert before == broken()
        await other.close()

    async def test_what_nobody_changes_is_forgotten(self, circuits, services):
        from redis.asyncio import Redis

        key = new_id()
        await circuits.change(key, failed)
        async with Redis.from_url(services.redis_url) as valkey:
            left = await valkey.pttl(circuits._prefix + key)
        assert 0 < left <= (LONGEST + LOOK) * 2000

    async def test_a_server_that_is_away_is_said_in_our_words(self, tmp_path):
        circuits = ValkeyCircuits(f"unix://{tmp_path}/nothing.sock")
        with pytest.raises(ServiceUnavailable, match="Valkey is away"):
            await circuits.change("x", failed)
        await circuits.close()
