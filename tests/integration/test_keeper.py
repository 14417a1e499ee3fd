"""Tests of the keeper process with small services of the shell."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cartrita.errors import ConfigurationInvalid, ServiceUnavailable
from cartrita.storage.embedded import namespace
from cartrita.storage.embedded.keeping import Keeper
from cartrita.storage.embedded.service import ServiceSpec
from tests.support.processes import alive, all_gone, eventually

pytestmark = pytest.mark.database

# Children that leave the session, the parent and the mark behind; `$0` gets their pids.
STRAY = "(env -i setsid sleep 1000 & echo $! > $0); exec sleep 1000"


@pytest.fixture
async def keeper(tmp_path):
    launched = await Keeper.launch(log_path=tmp_path / "keeper.log")
    yield launched
    await launched.close()
    assert await all_gone([launched.pid], within=1)


@pytest.fixture
def service(tmp_path):
    """Describe a service that runs a line of shell; `$0` is a file named for it."""

    def build(name, script="exec sleep 1000", **more):
        argv = ("/bin/sh", "-c", script, str(tmp_path / name))
        return ServiceSpec(name, argv, str(tmp_path / f"{name}.log"), **more)

    return build


async def next_event(keeper, wanted):
    async with asyncio.timeout(20):
        async for event in keeper.events():
            if event.event == wanted:
                return event
    raise AssertionError(f"the keeper died before {wanted!r}")


async def stray_pid(tmp_path, name):
    note = tmp_path / name
    assert await eventually(lambda: note.exists() and note.read_text().strip(), within=5)
    pid = int(note.read_text())
    assert await eventually(lambda: os.getsid(pid) == pid, within=5)
    return pid


async def test_a_started_service_is_up_and_in_a_session_of_its_own(keeper, service):
    state = await keeper.start(service("one"))
    assert (state.name, state.state, state.restarts) == ("one", "up", 0)
    assert os.getsid(state.pid) == os.getpgid(state.pid) == state.pid
    assert await keeper.states() == [state]


async def test_a_service_inherits_no_descriptor_and_no_environment(keeper, service, tmp_path):
    script = "ls -l /proc/self/fd > $0; env >> $0"
    await keeper.start(service("one", script, restart=False))
    await next_event(keeper, "exited")
    seen = (tmp_path / "one").read_text()
    assert "socket:" not in seen
    assert "CARTRITA_SERVICE=one" in seen
    assert "HOME=" not in seen
    assert "PYTHONPATH" not in seen


async def test_output_goes_to_a_log_that_only_we_may_read(keeper, service, tmp_path):
    await keeper.start(service("one", "echo out; echo err >&2", restart=False))
    await next_event(keeper, "exited")
    log = tmp_path / "one.log"
    assert log.read_text() == "out\nerr\n"
    assert log.stat().st_mode & 0o777 == 0o600


async def test_a_program_that_is_not_there_is_reported_at_once(keeper, tmp_path):
    missing = ServiceSpec("gone", ("/no/such/program",), str(tmp_path / "log"))
    with pytest.raises(ConfigurationInvalid, match=r"'gone'.*/no/such/program"):
        await keeper.start(missing)
    assert await keeper.states() == []


async def test_two_services_of_one_name_are_refused(keeper, service):
    await keeper.start(service("one"))
    with pytest.raises(ConfigurationInvalid, match="runs already"):
        await keeper.start(service("one"))


async def test_a_crashed_service_is_restarted(keeper, service):
    first = await keeper.start(service("one"))
    os.kill(first.pid, signal.SIGKILL)
    restarted = await next_event(keeper, "restarted")
    [state] = await keeper.states()
    assert state.pid == restarted.pid != first.pid
    assert (state.state, state.restarts, state.exit_status) == ("up", 1, -signal.SIGKILL)


async def test_what_a_crashed_service_left_is_gone_before_its_restart(keeper, service, tmp_path):
    state = await keeper.start(service("one", STRAY))
    # Without a mark a stray is known by its program, which here is not the shell's.
    marked = STRAY.replace("env -i ", "")
    other = await keeper.start(service("other", marked))
    kept, swept = await stray_pid(tmp_path, "one"), await stray_pid(tmp_path, "other")
    os.kill(other.pid, signal.SIGKILL)
    await next_event(keeper, "restarted")
    assert not alive(swept)
    assert alive(state.pid)
    assert alive(kept)


async def test_a_crash_loop_ends_in_quarantine(keeper, service, tmp_path):
    spec = service("loop", "echo again >> $0; exit 3", intensity=2)
    await keeper.start(spec)
    gave_up = await next_event(keeper, "gave_up")
    [state] = await keeper.states()
    assert (gave_up.name, gave_up.status) == ("loop", 3)
    assert (state.state, state.pid, state.restarts) == ("quarantined", None, 2)
    assert (tmp_path / "loop").read_text() == "again\n" * 3


async def test_a_quarantined_service_can_be_started_anew(keeper, service):
    await keeper.start(service("loop", "exit 3", intensity=0))
    await next_event(keeper, "gave_up")
    state = await keeper.start(service("loop"))
    assert (state.state, state.restarts) == ("up", 0)


async def test_a_service_that_was_given_up_can_be_had_back_as_it_was(keeper, service, tmp_path):
    mended = tmp_path / "mended"
    await keeper.start(service("loop", f"test -e {mended} && exec sleep 1000; exit 3", intensity=0))
    await next_event(keeper, "gave_up")
    mended.touch()
    state = await keeper.revive("loop")
    assert (state.state, state.restarts) == ("up", 0)
    assert alive(state.pid)
    with pytest.raises(ConfigurationInvalid, match="runs already"):
        await keeper.revive("loop")


async def test_a_service_that_is_not_to_be_restarted_stays_down(keeper, service):
    await keeper.start(service("once", "exit 4", restart=False))
    exited = await next_event(keeper, "exited")
    [state] = await keeper.states()
    assert (exited.status, state.state, state.exit_status) == (4, "down", 4)


async def test_a_stopped_service_gets_its_signal_and_stays_down(keeper, service, tmp_path):
    script = "trap 'echo told > $0; exit 0' INT; echo ready > $0; while :; do sleep 0.01; done"
    await keeper.start(service("one", script, stop_signal="SIGINT"))
    assert await eventually((tmp_path / "one").exists, within=5)
    state = await keeper.stop("one")
    assert (state.state, state.pid, state.exit_status) == ("down", None, 0)
    assert (tmp_path / "one").read_text() == "told\n"


async def test_a_service_deaf_to_its_signal_is_killed_after_its_grace(keeper, service, tmp_path):
    script = "trap '' TERM; echo ready > $0; while :; do sleep 0.01; done"
    await keeper.start(service("deaf", script, grace=0.3))
    assert await eventually((tmp_path / "deaf").exists, within=5)
    state = await keeper.stop("deaf", timeout=5)
    assert (state.state, state.exit_status) == ("down", -signal.SIGKILL)


async def test_a_service_that_waits_for_its_restart_can_be_stopped(keeper, service):
    await keeper.start(service("loop", "exit 1", intensity=50))
    await next_event(keeper, "exited")
    assert (await keeper.stop("loop")).state == "down"
    assert [state.state for state in await keeper.states()] == ["down"]


async def test_stopping_a_service_ends_its_strays_too(keeper, service, tmp_path):
    await keeper.start(service("one", STRAY.replace("env -i ", "")))
    stray = await stray_pid(tmp_path, "one")
    await keeper.stop("one")
    assert await eventually(lambda: not alive(stray), within=5)


async def test_an_unknown_service_cannot_be_stopped(keeper):
    with pytest.raises(ConfigurationInvalid, match="no service 'nobody'"):
        await keeper.stop("nobody")


async def test_close_stops_one_service_after_the_other_the_last_started_first(
    keeper, service, tmp_path
):
    for name, delay in (("first", 0), ("second", 0.1), ("third", 0.3)):
        script = f"trap 'sleep {delay}; exit' TERM; echo > $0; while :; do sleep 0.01; done"
        await keeper.start(service(name, script))
        assert await eventually((tmp_path / name).exists, within=5)
    await keeper.close()
    events = [event async for event in keeper.events()]
    assert [(event.name, event.status) for event in events] == [
        ("third", 0),
        ("second", 0),
        ("first", 0),
    ]


async def test_a_service_that_crashes_while_the_keeper_closes_is_not_restarted(
    keeper, service, tmp_path
):
    crashes = await keeper.start(service("crashes"))
    told = f"kill -9 {crashes.pid}; sleep 0.5; exit"
    script = f"trap '{told}' TERM; echo > $0; while :; do sleep 0.01; done"
    await keeper.start(service("last", script))
    assert await eventually((tmp_path / "last").exists, within=5)
    await keeper.close()
    events = [(event.event, event.name) async for event in keeper.events()]
    assert events == [("exited", "crashes"), ("exited", "last")]


async def test_close_ends_what_detached_itself(keeper, service, tmp_path):
    state = await keeper.start(service("one", STRAY))
    stray = await stray_pid(tmp_path, "one")
    await keeper.close()
    assert keeper.died.is_set()
    assert not any(alive(pid) for pid in (keeper.pid, state.pid, stray))


async def test_close_does_not_wait_longer_than_it_was_told(keeper, service, tmp_path):
    script = "trap '' TERM; echo ready > $0; while :; do sleep 0.01; done"
    state = await keeper.start(service("deaf", script, grace=600))
    assert await eventually((tmp_path / "deaf").exists, within=5)
    started = asyncio.get_running_loop().time()
    await keeper.close(timeout=0.2)
    assert asyncio.get_running_loop().time() - started < 6
    assert not alive(state.pid)


async def test_ctrl_c_and_a_closed_terminal_are_not_for_the_keeper(keeper, service):
    state = await keeper.start(service("one"))
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(keeper.pid, number)
    assert await keeper.states() == [state]


async def test_sigterm_makes_the_keeper_shut_down(keeper, service):
    state = await keeper.start(service("one"))
    os.kill(keeper.pid, signal.SIGTERM)
    await asyncio.wait_for(keeper.died.wait(), 5)
    assert not alive(state.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel has no PDEATHSIG")
async def test_the_services_die_with_a_killed_keeper(keeper, service):
    state = await keeper.start(service("one"))
    os.kill(keeper.pid, signal.SIGKILL)
    await asyncio.wait_for(keeper.died.wait(), 5)
    assert await all_gone([state.pid], within=2)
    with pytest.raises(ServiceUnavailable, match=f"keeper {keeper.pid} died"):
        await keeper.states()


async def test_who_waits_for_an_answer_hears_of_the_keepers_death(keeper, service):
    os.kill(keeper.pid, signal.SIGSTOP)
    waiting = asyncio.create_task(keeper.states())
    await asyncio.sleep(0)
    os.kill(keeper.pid, signal.SIGKILL)
    with pytest.raises(ServiceUnavailable, match="died"):
        await asyncio.wait_for(waiting, 5)


async def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(keeper):
    os.kill(keeper.pid, signal.SIGSTOP)
    try:
        with pytest.raises(ServiceUnavailable, match=r"'list' after 0\.1 s"):
            await keeper.states(timeout=0.1)
    finally:
        os.kill(keeper.pid, signal.SIGCONT)
    assert await keeper.states() == []


async def test_events_end_with_the_keeper(keeper):
    await keeper.close()
    assert [event async for event in keeper.events()] == []
    assert [event async for event in keeper.events()] == []


async def test_a_reader_who_slept_gets_the_newest_events(keeper, service):
    await keeper.start(service("loop", "exit 0", restart=False))
    await next_event(keeper, "exited")
    for _ in range(300):
        await keeper.start(service("loop", "exit 0", restart=False))
        assert await eventually_down(keeper)
    await keeper.close()
    assert 200 < len([event async for event in keeper.events()]) <= 256


async def eventually_down(keeper):
    async with asyncio.timeout(10):
        while (await keeper.states())[0].state != "down":
            pass
    return True


async def test_the_keeper_is_small_and_has_one_thread(keeper):
    process = psutil.Process(keeper.pid)
    assert process.num_threads() == 1
    assert process.memory_info().rss < 30e6


@pytest.mark.skipif(not namespace.needed(), reason="only root needs the namespace")
async def test_a_service_of_root_can_run_as_nobody(keeper, service, tmp_path):
    await keeper.start(service("one", "id -u > $0", user_namespace=True, restart=False))
    await next_event(keeper, "exited")
    assert (tmp_path / "one").read_text() == "65534\n"
    assert (tmp_path / "one").stat().st_uid == os.getuid()


@pytest.mark.skipif(not namespace.needed(), reason="only root can forbid it to itself")
def test_a_refused_user_namespace_says_what_to_do():
    forbid = "echo 0 > /proc/sys/user/max_user_namespaces; exec "
    argv = [sys.executable, "-I", "-S", namespace.__file__, "/bin/true"]
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", forbid + '"$@"', "sh", *argv],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "as an ordinary user" in done.stderr
    assert "CARTRITA_POSTGRES__URL" in done.stderr


def test_the_keeper_imports_nothing_but_the_standard_library():
    code = "import sys, cartrita.storage.embedded.keeper; print(*sys.modules)"
    root = Path(namespace.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(root)},
    )
    names = {name.split(".")[0] for name in done.stdout.split()}
    assert names - sys.stdlib_module_names == {"__main__", "cartrita"} - sys.stdlib_module_names
