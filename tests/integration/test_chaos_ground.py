"""What chaos reads streams by, and on whose ground it stands."""

import asyncio
import fcntl
import json
import os
import sys
from dataclasses import replace

import httpx
import psutil
import pytest

from cartrita.chaos import ground as grounds
from cartrita.chaos.ground import Life, alone, breakable
from cartrita.chaos.load import Recorder
from cartrita.chaos.streams import Reading, follow
from cartrita.errors import ConfigurationInvalid, ServiceUnavailable
from cartrita.instance import InstanceState, Paths
from cartrita.story import cursor_of
from tests.support.api_server import serving
from tests.support.processes import eventually, running

# Keeps one child running, as a keeper does.
OWNER = """
import subprocess, sys
while True:
    subprocess.run([sys.argv[1], "1000"])
"""


def event(step, kind="progress"):
    return {"cursor": cursor_of(step), "taskId": "a", "attempt": 0, "type": kind, "data": None}


class Broken:
    """Tells a task's events in pieces, each on a connection of its own."""

    def __init__(self, *pieces):
        self.pieces, self.asked = list(pieces), []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        self.asked.append(dict(scope["headers"]).get(b"last-event-id", b"").decode())
        piece = self.pieces.pop(0)
        told = piece if isinstance(piece, int) else 200
        await send({"type": "http.response.start", "status": told, "headers": []})
        lines = [] if isinstance(piece, int) else [f"data: {json.dumps(one)}\n\n" for one in piece]
        await send({"type": "http.response.body", "body": "".join(lines).encode()})


class TestStreams:
    async def read(self, app):
        reading = Reading("a")
        with serving(app) as url:
            async with httpx.AsyncClient(base_url=url) as http:
                await asyncio.wait_for(follow(http, reading), 20)
        return reading

    async def test_a_stream_that_breaks_goes_on_behind_what_was_read(self):
        app = Broken([event(0), event(1)], 503, [event(2), event(3, "completed")])
        reading = await self.read(app)
        assert [one["cursor"] for one in reading.story] == [cursor_of(n) for n in range(4)]
        assert app.asked == ["", cursor_of(1), cursor_of(1)]
        assert (reading.broken, reading.ended) == (2, True)

    async def test_what_is_told_twice_is_kept_twice(self):
        reading = await self.read(Broken([event(0)], [event(0), event(1, "failed")]))
        assert [one["cursor"] for one in reading.story] == [cursor_of(n) for n in (0, 0, 1)]

    async def test_a_reader_who_knows_all_is_told_that_there_is_no_more(self):
        reading = await self.read(Broken([event(0)], 204))
        assert (len(reading.story), reading.ended) == (1, True)


class TestRecorder:
    async def test_answers_are_counted_and_those_that_do_not_say_when_to_come_again(self):
        recorder = Recorder()
        async with httpx.AsyncClient(transport=recorder) as http:
            with serving(Broken(200, 503, 429)) as url:
                for _ in range(3):
                    await http.get(url)
            with pytest.raises(httpx.ConnectError):
                await http.get(url)
        assert recorder.answers == {"200": 1, "503": 1, "429": 1, "ConnectError": 1}
        assert recorder.mute == 2


@pytest.fixture
def paths(tmp_path):
    made = Paths(tmp_path, tmp_path / "run")
    made.logs.mkdir()
    return made


@pytest.fixture
def locked(paths):
    with paths.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield InstanceState(os.getpid(), "3.0.0", 0.0, {}, ready=True)


class TestGround:
    def test_the_one_who_holds_the_lock_is_the_owner(self, paths, locked):
        assert breakable(paths, locked).pid == os.getpid()

    def test_an_instance_that_is_not_ready_is_left_alone(self, paths, locked):
        with pytest.raises(ServiceUnavailable, match="still starting"):
            breakable(paths, replace(locked, ready=False))

    def test_a_pid_that_does_not_hold_the_lock_is_nobodys_owner(self, paths, locked):
        with running("/bin/sleep", "1000") as stranger:
            state = replace(locked, pid=stranger.pid)
            with pytest.raises(ConfigurationInvalid, match=str(stranger.pid)):
                breakable(paths, state)

    def test_another_users_instance_is_not_ours_to_break(self, paths, locked, monkeypatch):
        monkeypatch.setattr(grounds.os, "getuid", lambda: 12345)
        with pytest.raises(ConfigurationInvalid, match="another user"):
            breakable(paths, locked)

    def test_one_run_at_a_time(self, paths):
        with (
            alone(paths),
            pytest.raises(ConfigurationInvalid, match="Another chaos run"),
            alone(paths),
        ):
            pass

    async def test_an_owner_is_started_again_just_as_it_was(self, paths, tmp_path):
        argv = [sys.executable, "-c", AGAIN, str(tmp_path)]
        with running(*argv, cwd=tmp_path, env={"MARK": "kept"}) as first:
            assert await eventually(paths.state.exists, 10)
            life = Life.of(psutil.Process(first.pid))
        paths.state.unlink()
        with await life.again(paths) as started:
            second = psutil.Process(started.pid)
            seen = second.cmdline(), second.environ()["MARK"], second.cwd()
            started.kill()
        assert seen == (argv, "kept", str(tmp_path))

    async def test_an_owner_that_does_not_come_back_is_told(self, paths):
        life = Life([sys.executable, "-c", "raise SystemExit(1)"], {}, "/")
        with pytest.raises(ServiceUnavailable, match="did not come back"):
            await life.again(paths)


AGAIN = """
import fcntl, json, os, pathlib, signal, sys
home = pathlib.Path(sys.argv[1])
lock = (home / "owner.lock").open("a")
fcntl.flock(lock, fcntl.LOCK_EX)
state = {"pid": os.getpid(), "version": "3.0.0", "started_at": 0.0, "urls": {}, "ready": True}
(home / "draft").write_text(json.dumps(state))
(home / "draft").rename(home / "instance.json")
signal.pause()
"""
