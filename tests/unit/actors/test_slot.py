"""One place for a host: heartbeats, planned ends, and what counts as a death."""

import asyncio

import pytest

from actors import slot as slot_module
from actors.fleet import Rules
from actors.hosting import ENDED
from actors.slot import Pulse
from tests.support.yard import OWN, agent, open_yard

LIGHT = agent("Light", concurrency=2)
MORTAL = agent("Mortal", needs=OWN, restart="transient")
QUICK = Rules(pulse=Pulse(every=0.005, wedged_after=0.03))


@pytest.fixture
async def yard():
    async with open_yard() as one:
        yield one


@pytest.fixture
async def slot(yard):
    """Give a slot with a host whose heart beats quickly."""
    await yard.start(LIGHT, rules=QUICK)
    await yard.ready("light")
    (only,) = yard.slots("shared")
    return only


class TestHeartbeat:
    async def test_a_host_that_answers_is_left_alone(self, yard, slot):
        (host,) = yard.hosts.started
        await yard.until(lambda: host.beats >= 5)
        assert yard.hosts.log == ["start system/0.shared.0.1"]

    async def test_a_host_that_gives_no_sign_of_life_is_replaced_and_its_tasks_suspected(
        self, yard, slot
    ):
        held = [yard.fleet.acquire("light") for _ in range(2)]
        yard.hosts.started[0].mute = True
        await yard.until(lambda: slot.host not in (None, held[0]))
        assert yard.hosts.started[0].died.done()
        assert (held[0].planned, held[0].crowd) == (False, 2)
        assert slot.row()["restarts"] == 1

    async def test_hosts_that_never_give_a_sign_of_life_are_given_up(self, yard, slot):
        for deaths in range(3):
            await yard.until(lambda: slot.host and len(yard.hosts.started) == deaths + 1)  # noqa: B023
            yard.hosts.started[deaths].mute = True
        await yard.until(lambda: yard.downs == ["shared"])
        assert slot.row()["state"] == "down"

    async def test_a_host_with_stuck_threads_takes_nothing_new_and_is_replaced_once_it_is_empty(
        self, yard, slot
    ):
        host = yard.fleet.acquire("light")
        yard.hosts.started[0].stuck = 1
        await yard.until(lambda: slot.state == "draining")
        assert yard.fleet.ready() == []
        assert yard.alive == ["shared.0.1"]
        yard.fleet.release(host, "light")
        await yard.until(lambda: slot.host not in (None, host))
        assert (host.planned, slot.row()["restarts"]) == (True, 0)

    async def test_a_host_with_stuck_threads_is_not_waited_for_for_ever(
        self, yard, slot, monkeypatch
    ):
        monkeypatch.setattr(slot_module, "RECYCLE_GRACE", 0.01)
        host = yard.fleet.acquire("light")
        yard.hosts.started[0].stuck = 2
        await yard.until(lambda: slot.host not in (None, host))
        assert host.planned
        assert host.residents == 1


class TestReplacement:
    async def test_it_waits_for_the_tasks_and_counts_no_restart(self, yard, slot):
        host = yard.fleet.acquire("light")
        replacing = asyncio.create_task(slot.replace(grace=5))
        await yard.until(lambda: slot.state == "draining")
        assert yard.fleet.ready() == []
        assert not host.gone.done()
        yard.fleet.release(host, "light")
        await replacing
        await yard.ready("light")
        assert host.planned
        assert yard.host("shared").spec.host_id == "system/0.shared.0.2"
        assert slot.row()["restarts"] == 0

    async def test_it_may_happen_any_number_of_times(self, yard, slot):
        for number in range(1, 6):  # more than the restarts that are allowed
            await yard.until(lambda: slot.host and slot.starts == number)  # noqa: B023
            await slot.replace()
        await yard.ready("light")
        assert (slot.starts, slot.row()["restarts"], yard.downs) == (6, 0, [])

    async def test_a_place_without_a_host_is_not_replaced(self, yard, slot):
        await slot.close()
        await slot.replace()
        assert slot.state == "down"
        assert len(yard.hosts.started) == 1


class TestClose:
    async def test_it_waits_for_the_tasks_for_as_long_as_it_is_told(self, yard, slot):
        host = yard.fleet.acquire("light")
        closing = asyncio.create_task(slot.close(grace=None))
        await yard.until(lambda: slot.state == "draining")
        assert yard.fleet.ready() == []
        yard.fleet.release(host, "light")
        await closing
        assert (slot.state, slot.active) == ("down", False)
        assert (len(yard.hosts.started), yard.alive) == (1, [])

    async def test_tasks_that_do_not_end_in_time_are_handed_back_unsuspected(self, yard, slot):
        host = yard.fleet.acquire("light")
        await slot.close(grace=0.01)
        assert host.gone.done()
        assert host.planned

    async def test_a_death_meanwhile_ends_the_waiting(self, yard, slot):
        yard.fleet.acquire("light")
        closing = asyncio.create_task(slot.close(grace=None))
        await yard.until(lambda: slot.state == "draining")
        await yard.hosts.started[0].die()
        await asyncio.wait_for(closing, 5)
        assert len(yard.hosts.started) == 1

    async def test_both_who_wait_for_it_to_be_empty_go_on(self, yard, slot):
        host = yard.fleet.acquire("light")
        closing = asyncio.create_task(slot.close(grace=None))
        await yard.until(lambda: slot.state == "draining")
        replacing = asyncio.create_task(slot.replace(grace=None))
        await asyncio.sleep(0)
        yard.fleet.release(host, "light")
        await asyncio.wait_for(asyncio.gather(closing, replacing), 5)
        assert yard.alive == []

    async def test_one_that_pauses_before_a_restart_is_closed_at_once(self, yard, slot):
        yard.hosts.troubles = [RuntimeError("no start")] * 2
        await yard.hosts.started[0].die()
        await yard.until(lambda: slot.state == "starting" and slot.host is None)
        await asyncio.wait_for(slot.close(), 5)
        assert not slot.active

    async def test_it_can_be_opened_again(self, yard, slot):
        await slot.close()
        slot.open()
        await yard.ready("light")
        assert yard.alive == ["shared.0.2"]


class TestDeath:
    async def test_a_transient_host_that_ended_of_itself_rests_until_there_is_work(self, yard):
        fleet = await yard.start(MORTAL)
        await yard.ready("mortal")
        await yard.hosts.started[0].die(ENDED)
        await yard.until(lambda: fleet.crew("mortal").slots[0].resting)
        assert (len(yard.hosts.started), fleet.given_up("mortal")) == (1, False)
        fleet.wake("mortal")
        await yard.until(lambda: yard.alive == ["mortal.0.2"])

    async def test_a_transient_host_that_crashed_is_started_again(self, yard):
        await yard.start(MORTAL)
        await yard.ready("mortal")
        await yard.hosts.started[0].die("segmentation fault")
        await yard.until(lambda: yard.alive == ["mortal.0.2"])

    async def test_a_host_that_dies_knows_how_many_were_at_work_or_waited_on_it(self, yard, slot):
        idle = slot.host
        await yard.hosts.started[0].die()
        await yard.until(lambda: slot.host not in (None, idle))
        assert idle.crowd == 0
        busy = yard.fleet.acquire("light")
        yard.fleet.suspend(busy, "light")  # its task waits for a sub-task
        await yard.hosts.started[1].die()
        await yard.until(busy.gone.done)
        assert busy.crowd == 1
