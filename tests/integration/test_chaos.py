"""A chaos run on a tree in one process, and on processes that are there to be hit."""

import asyncio
import json
import shutil
import socket
import sys
from contextlib import contextmanager
from dataclasses import replace

import httpx
import psutil
import pytest

from actors.agents.health import Health
from cartrita.chaos import strike
from cartrita.chaos.agent import Chaos
from cartrita.chaos.load import Work
from cartrita.chaos.plan import Aim, Kind
from cartrita.chaos.report import failures, summary
from cartrita.chaos.run import Ground, run
from cartrita.chaos.sink import listening
from cartrita.chaos.victims import Processes
from cartrita.client import Client
from cartrita.client.models import Session
from cartrita.client.sessions import MemorySessions
from cartrita.clock import SystemClock
from cartrita.errors import ServiceUnavailable
from cartrita.history import Sample
from cartrita.providers.effect_sink import LineSink
from cartrita.providers.ports import EffectSink, ProbeReport
from tests.support.api_server import ADMIN, HEALTHY, api_and_inside
from tests.support.fakes import FixedProbes
from tests.support.processes import alive, all_gone, eventually, running

# Keeps one child running, as a keeper does.
OWNER = """
import subprocess, sys
while True:
    subprocess.run([sys.argv[1], "1000"])
"""


@pytest.fixture
def valkey(tmp_path):
    """Give a program that is called as Valkey is, and sleeps."""
    return shutil.copy("/bin/sleep", tmp_path / "valkey-server")


@pytest.fixture
def owner(valkey):
    with running(sys.executable, "-c", OWNER, valkey) as process:
        yield process


async def found(processes, kind=Kind.VALKEY):
    assert await eventually(lambda: processes.find(kind, None, 0.0), 10)
    return processes.find(kind, None, 0.0)


class TestProcesses:
    async def test_what_is_below_the_owner_is_killed(self, owner):
        processes = Processes(owner.pid)
        victim = await found(processes)
        assert processes.kill(victim)
        assert await all_gone([victim.pid], 5)
        assert (await found(processes)).pid != victim.pid

    async def test_what_is_not_below_the_owner_is_never_touched(self, owner, valkey):
        processes = Processes(owner.pid)
        ours = await found(processes)
        with running(valkey, "1000") as stranger:
            assert processes.find(Kind.VALKEY, None, 0.99).pid == ours.pid
            assert not processes.kill(psutil.Process(stranger.pid))
            assert processes.pause(psutil.Process(stranger.pid)) == []
            assert psutil.Process(stranger.pid).status() != psutil.STATUS_STOPPED
            assert alive(stranger.pid)

    async def test_nothing_is_touched_once_the_owner_is_gone(self, owner):
        processes = Processes(owner.pid)
        orphan = await found(processes)
        try:
            owner.kill()
            owner.wait()
            assert not processes.kill(orphan)
            assert processes.find(Kind.VALKEY, None, 0.0) is None
            assert alive(orphan.pid)
        finally:
            orphan.kill()

    async def test_a_pause_stops_and_resuming_lets_go_on(self, owner):
        processes = Processes(owner.pid)
        victim = await found(processes)
        stopped = processes.pause(victim)
        assert [one.pid for one in stopped] == [victim.pid]
        assert await eventually(lambda: victim.status() == psutil.STATUS_STOPPED, 5)
        assert processes.pause(victim) == [], "it is stopped already"
        processes.resume(stopped)
        assert await eventually(lambda: victim.status() != psutil.STATUS_STOPPED, 5)

    async def test_what_is_paused_can_be_killed(self, owner):
        processes = Processes(owner.pid)
        victim = await found(processes)
        stopped = processes.pause(victim)
        assert processes.kill(victim)
        assert await all_gone([victim.pid], 5)
        processes.resume(stopped)

    async def test_whatever_is_paused_can_be_let_go_at_once(self, owner):
        processes = Processes(owner.pid)
        victim = await found(processes)
        processes.pause(victim)
        processes.resume_all()
        assert await eventually(lambda: victim.status() != psutil.STATUS_STOPPED, 5)

    async def test_a_power_cut_leaves_nobody(self, owner):
        processes = Processes(owner.pid)
        victim = await found(processes)
        ended = {process.pid for process in processes.cut()}
        assert ended == {owner.pid, victim.pid}
        owner.wait()
        assert await all_gone(ended, 5)


def spoken(port, text):
    """Say something to a port and return all that it answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(text.encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))


class TestSink:
    async def test_what_is_done_is_counted(self, tmp_path):
        with listening(tmp_path / "chaos.json") as tally:
            sink = LineSink(tmp_path / "chaos.json")
            await sink.ran("a")
            await sink.hit("a")
            await sink.hit("a")
            assert [await sink.hits(name) for name in ("a", "b")] == [2, 0]
            assert (tally.ran["a"], tally.effects["a"]) == (1, 2)
            sink.close()

    async def test_each_run_is_counted_for_itself(self, tmp_path):
        sink = LineSink(tmp_path / "chaos.json")
        for _ in range(3):
            with listening(tmp_path / "chaos.json") as tally:
                await sink.hit("a")
                assert tally.effects == {"a": 1}
        sink.close()

    async def test_without_a_run_there_is_none(self, tmp_path):
        with listening(tmp_path / "chaos.json"):
            pass
        sink = LineSink(tmp_path / "chaos.json")
        with pytest.raises(ServiceUnavailable, match="No chaos run is under way"):
            await sink.hit("a")
        sink.close()

    async def test_a_run_that_was_killed_leaves_a_note_that_leads_nowhere(self, tmp_path):
        with listening(tmp_path / "chaos.json"):
            left = (tmp_path / "chaos.json").read_text()
        (tmp_path / "chaos.json").write_text(left)
        sink = LineSink(tmp_path / "chaos.json")
        with pytest.raises(ServiceUnavailable, match="away"):
            await sink.hits("a")
        sink.close()

    @pytest.mark.parametrize("line", ["hit", "hit ", "steal a", "", "\0"])
    def test_what_is_no_question_hangs_up(self, tmp_path, line):
        with listening(tmp_path / "chaos.json") as tally:
            place = json.loads((tmp_path / "chaos.json").read_text())
            assert spoken(place["port"], f"{place['token']}\nhit a\n{line}\nhit a\n") == b"1\n"
        assert tally.effects == {"a": 1}

    def test_strangers_count_nothing(self, tmp_path):
        with listening(tmp_path / "chaos.json") as tally:
            port = json.loads((tmp_path / "chaos.json").read_text())["port"]
            assert spoken(port, "somebody\nhit a\n") == b""
        assert not tally.effects

    async def test_one_who_left_in_the_middle_takes_nobodys_answer(self, tmp_path):
        with listening(tmp_path / "chaos.json") as tally:
            sink = LineSink(tmp_path / "chaos.json")
            await sink.hit("a")
            for _ in range(20):
                leaving = asyncio.create_task(sink.hit("a"))
                await asyncio.sleep(0)  # it has asked, and has no answer yet
                leaving.cancel()
                await asyncio.wait({leaving})
                assert await sink.hits("b") == 0
            sink.close()
        assert tally.effects["a"] >= 1

    def test_nobody_else_can_read_where_it_is(self, tmp_path):
        with listening(tmp_path / "chaos.json"):
            assert (tmp_path / "chaos.json").stat().st_mode & 0o077 == 0


class Purse:
    """A budget that holds what it is told."""

    def __init__(self, *held):
        self.held = list(held)

    async def balance(self):
        return self.held.pop(0) if len(self.held) > 1 else self.held[0]


def purse(tasks, used=None):
    total = tasks * 1_000_000
    return Purse(Sample("tenant:x", total, total if used is None else used, 0))


class Twice(LineSink):
    """Has every effect twice, as an agent without a ledger may after a crash."""

    async def hit(self, effect_id):
        await super().hit(effect_id)
        await super().hit(effect_id)


@contextmanager
def breaking(tmp_path, owner, sink=LineSink, probes=HEALTHY):
    """Give the ground of a run on a tree in this process."""
    file = tmp_path / "chaos.json"
    ports = {EffectSink: lambda _: sink(file)}
    with (
        listening(file) as tally,
        api_and_inside(probes, agents=(Health, Chaos), ports=ports) as (url, _),
        Client(url) as client,
    ):
        client.login(*ADMIN)
        with httpx.Client(base_url=url) as http:
            body = {"email": ADMIN[0], "password": ADMIN[1]}
            session = Session.model_validate(http.post("/auth/login", json=body).json())

        async def restart():
            raise AssertionError("nobody cut the power")

        yield Ground(url, MemorySessions(session), owner.pid, restart, tally)


def parameters(seconds, followed):
    return {"workMs": round(seconds * 1000), "says": 4 if followed else 0}


WORK = Work("chaos.effect", parameters, 60.0)


class TestRun:
    async def test_a_run_that_loses_nothing_says_so(self, tmp_path, owner):
        await found(Processes(owner.pid))
        aim = Aim(
            kills=(Kind.VALKEY,),
            tasks=60,
            rate=40,
            every=0.5,
            streams=6,
            work=0.02,
            stream_work=1.0,
        )
        with breaking(tmp_path, owner) as ground:
            toll = await run(replace(ground, purse=purse(60)), aim, WORK, 1, SystemClock())
        assert failures(toll) == []
        seen = summary(toll)
        assert (seen["accepted"], seen["ends"]) == (60, {"COMPLETED": 60})
        assert (seen["executions"], seen["effects"]) == (60, 60)
        fault = seen["faults"]["valkey kill"]
        assert fault["hit"] >= 1
        assert fault["unhealed"] == 0
        # accepted, queued, started, four steps, completed
        assert seen["streams"] == {"followed": 6, "ended": 6, "broken": 0, "events": 6 * 8}
        assert int(seen["answers"]["202"]) >= 30

    async def test_what_is_paused_goes_on_after_a_while(self, tmp_path, owner):
        victim = await found(Processes(owner.pid))
        aim = Aim(pauses=(Kind.VALKEY,), tasks=20, rate=40, every=10, hold=0.5)
        with breaking(tmp_path, owner) as ground:
            toll = await run(ground, aim, WORK, 1, SystemClock())
        fault = summary(toll)["faults"]["valkey pause"]
        assert (fault["hit"], fault["unhealed"]) == (1, 0)
        assert fault["repair"]["max"] >= 0.5
        assert victim.status() != psutil.STATUS_STOPPED
        assert failures(toll) == []

    async def test_a_run_that_is_broken_off_leaves_nothing_paused(self, tmp_path, owner):
        victim = await found(Processes(owner.pid))
        aim = Aim(pauses=(Kind.VALKEY,), tasks=20, rate=40, every=10, hold=600)
        with breaking(tmp_path, owner) as ground:
            running = asyncio.create_task(run(ground, aim, WORK, 1, SystemClock()))
            assert await eventually(lambda: victim.status() == psutil.STATUS_STOPPED, 10)
            running.cancel()
            await asyncio.wait({running})
        assert await eventually(lambda: victim.status() != psutil.STATUS_STOPPED, 5)

    async def test_after_a_power_cut_the_new_owner_is_the_one_to_watch(
        self, tmp_path, owner, valkey
    ):
        before = await found(Processes(owner.pid))
        aim = Aim(power_cut=True, tasks=20, rate=40)
        with running(sys.executable, "-c", OWNER, valkey) as second:

            async def restart():
                assert await all_gone([owner.pid, before.pid], 5)
                return second

            with breaking(tmp_path, owner) as ground:
                toll = await run(replace(ground, restart=restart), aim, WORK, 1, SystemClock())
            assert alive(second.pid)
        assert failures(toll) == []
        assert summary(toll)["faults"]["power kill"]["unhealed"] == 0

    async def test_what_nobody_brings_back_is_told(self, tmp_path, valkey, monkeypatch):
        monkeypatch.setattr(strike, "HEALED_WITHIN", 1.0)
        once = "import subprocess, sys, signal; subprocess.run(sys.argv[1:]); signal.pause()"
        with running(sys.executable, "-c", once, valkey, "1000") as careless:
            await found(Processes(careless.pid))
            aim = Aim(kills=(Kind.VALKEY,), tasks=10, rate=40, every=10, hold=0.1)
            with breaking(tmp_path, careless) as ground:
                toll = await run(ground, aim, WORK, 1, SystemClock())
        fault = summary(toll)["faults"]["valkey kill"]
        assert (fault["hit"], fault["unhealed"]) == (1, 1)
        assert failures(toll) == ["valkey kill did not heal"]

    async def test_an_instance_that_is_ill_to_begin_with_is_left_alone(self, tmp_path, owner):
        ill = FixedProbes(ProbeReport("redis", False, False, 1.0, "away"))
        aim = Aim(kills=(Kind.VALKEY,), tasks=10)
        with (
            breaking(tmp_path, owner, probes=ill) as ground,
            pytest.raises(ServiceUnavailable, match="degraded"),
        ):
            await run(ground, aim, WORK, 1, SystemClock())

    async def test_effects_had_twice_are_found(self, tmp_path, owner):
        await found(Processes(owner.pid))
        aim = Aim(kills=(Kind.VALKEY,), tasks=10, rate=40, every=1)
        with breaking(tmp_path, owner, Twice) as ground:
            toll = await run(ground, aim, WORK, 1, SystemClock())
        assert summary(toll)["duplicated"] == 10
        assert failures(toll) == ["10 effects were had twice"]

    async def test_a_budget_that_promised_more_than_it_holds_is_found(self, tmp_path, owner):
        await found(Processes(owner.pid))
        aim = Aim(kills=(Kind.VALKEY,), tasks=5, rate=40, every=1)
        over = Purse(Sample("tenant:x", 5, 5, 1), Sample("tenant:x", 10**9, 5_000_000, 0))
        with breaking(tmp_path, owner) as ground:
            toll = await run(replace(ground, purse=over), aim, WORK, 1, SystemClock())
        assert failures(toll) == ["over budget: tenant:x: 5 used and 1 reserved of 5"]

    async def test_a_run_whose_tasks_nobody_takes_has_shown_nothing(self, tmp_path, owner):
        await found(Processes(owner.pid))
        aim = Aim(kills=(Kind.VALKEY,), tasks=3, rate=40, every=1)
        with breaking(tmp_path, owner) as ground:
            nobody = replace(WORK, task_type="no.such.task")
            toll = await run(ground, aim, nobody, 1, SystemClock())
        assert failures(toll) == ["no task was accepted: {'INVALID_TASK_TYPE': 3}"]
        assert summary(toll)["refused"] == 3

    async def test_nobody_to_hit_is_told_and_no_failure(self, tmp_path, owner):
        aim = Aim(kills=(Kind.GCS,), tasks=5, rate=40, every=1)
        with breaking(tmp_path, owner) as ground:
            toll = await run(ground, aim, WORK, 1, SystemClock())
        fault = summary(toll)["faults"]["gcs kill"]
        assert (fault["planned"], fault["hit"]) == (1, 0)
        assert failures(toll) == []
