"""What runs code that nobody trusts keeps its promises; escapes are in a file of their own."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from cartrita.cli import checks
from cartrita.config.settings import Settings
from cartrita.errors import InvalidParameters, QueueFull, SandboxUnavailable
from cartrita.providers.ports_sandbox import Ended, Program
from cartrita.providers.sandbox import bubblewrap, interpreters, walls
from tests.support.sandboxed import MB, SMALL, left_of, program, ran, sandbox


async def test_it_tries_itself_out_and_says_which_languages_it_runs():
    made = sandbox(tried=False)
    assert await made.check() == f"bubblewrap; {', '.join(made.languages)}"
    assert {"python", "bash"} <= set(made.languages)


async def test_a_program_reads_its_input_and_files_and_gives_back_what_it_made():
    code = """
    import os, pathlib, sys
    print(sys.argv[2:], sys.stdin.read(), pathlib.Path("in/a.txt").read_text())
    print("oops", file=sys.stderr)
    pathlib.Path("in/a.txt").write_text("changed")
    os.makedirs("out"); pathlib.Path("out/b.bin").write_bytes(bytes(3))
    sys.exit(7)
    """
    files = {"in/a.txt": b"given", "in/same.txt": b"same"}
    result = await ran(code, "an argument", files=files, stdin=b"input")
    assert (result.ended, result.exit_code, result.ok) == (Ended.EXITED, 7, False)
    assert result.stdout == "['an argument'] input given\n"
    assert result.stderr == "oops\n"
    assert result.files == {"in/a.txt": b"changed", "out/b.bin": bytes(3)}
    assert result.seconds > 0


async def test_node_runs_javascript():
    code = "console.log([1, 2, 3].map((n) => n * 2).join());"
    result = await ran(code, language="javascript", bounds=replace(SMALL, processes=64))
    assert (result.ok, result.stdout) == (True, "2,4,6\n")


async def test_bash_runs_scripts():
    result = await ran('echo "$HOME"; exit 3', language="bash")
    assert (result.exit_code, result.stdout) == (3, "/box\n")


async def test_a_signal_that_ends_a_program_is_its_exit_code():
    assert (await ran("import os; os.abort()")).exit_code == -6


async def test_input_that_nobody_reads_and_large_input_do_no_harm():
    assert (await ran("print('done')", stdin=bytes(2 * MB))).stdout == "done\n"
    code = "import sys; print(len(sys.stdin.buffer.read()))"
    assert (await ran(code, stdin=bytes(2 * MB))).stdout == f"{2 * MB}\n"


async def test_files_beyond_what_is_given_back_are_counted():
    code = "for n in range(9): open(f'{n}.bin', 'wb').write(bytes(100_000))"
    result = await ran(code, bounds=replace(SMALL, returned=250_000))
    assert list(result.files) == ["0.bin", "1.bin"]
    assert result.left_out == 7


async def test_what_is_no_text_is_replaced():
    result = await ran("import sys; sys.stdout.buffer.write(b'a\\xffb')")
    assert result.stdout == "a\ufffdb"


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", ".", "a//b", "a\nb", "-x"])
async def test_only_plain_relative_paths_can_be_given(path):
    with pytest.raises(InvalidParameters):
        await sandbox().run(Program("python", path, {path: b""}), 5)


async def test_what_cannot_be_run_is_refused():
    for wrong in (
        Program("cobol", "a", {"a": b""}),
        Program("python", "b", {"a": b""}),
        Program("python", "a", {"a": bytes(9 * MB)}),
        Program("python", "a", {"a": b""}, arguments=("a\0b",)),
    ):
        with pytest.raises(InvalidParameters):
            await sandbox().run(wrong, 5)


async def test_cancelling_ends_every_process_before_it_returns():
    made = program("""
    import os, time
    for _ in range(3):
        os.fork()
    os.setsid() if os.getpid() != os.getpgid(0) else None
    time.sleep(60)
    """)
    running = asyncio.create_task(sandbox().run(made, 30))
    async with asyncio.timeout(20):
        while len(left_of(made)) < 8:  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.01)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()
    assert left_of(made) == []


async def test_runs_side_by_side_see_nothing_of_each_other():
    code = """
    import os, pathlib, socket, sys, time
    for folder in (".", "/tmp", "/dev/shm"):
        (pathlib.Path(folder) / "mine").write_text(sys.argv[2])
    server = socket.socket(socket.AF_UNIX); server.bind("\\0same"); server.listen()
    port = socket.create_server(("127.0.0.1", 4711))
    time.sleep(0.3)
    seen = {(pathlib.Path(it) / "mine").read_text() for it in (".", "/tmp", "/dev/shm")}
    pids = sum(name.isdecimal() for name in os.listdir("/proc"))
    print(seen == {sys.argv[2]}, pids)
    """
    made = sandbox()
    results = await asyncio.gather(*(made.run(program(code, f"{n}"), 8) for n in range(4)))
    assert [result.stdout for result in results] == ["True 3\n"] * 4


async def test_no_more_run_than_may_and_no_more_wait():
    made = sandbox(parallel=1)
    made._inside = 2
    sleeping = [
        asyncio.create_task(made.run(program("import time; time.sleep(.2); print(1)"), 5))
        for _ in range(2)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await made.run(program("print(1)"), 5)
    assert [result.stdout for result in await asyncio.gather(*sleeping)] == ["1\n", "1\n"]
    assert (await made.run(program("print(2)"), 5)).stdout == "2\n"


async def test_of_an_interpreter_elsewhere_only_its_own_prefix_is_seen(tmp_path):
    home = Path("/opt/cartrita-test-home")
    python = home / "versions" / "9" / "bin" / "python3"
    elsewhere = interpreters.Interpreter(python, prefix=home / "versions" / "9")
    words = walls.command(Path("bwrap"), None, [elsewhere.prefix], SMALL, walls.Fds(3, 4))
    shown = [words[at + 1] for at, word in enumerate(words) if word.startswith("--ro-bind")]
    assert [path for path in shown if path.startswith("/opt")] == [str(elsewhere.prefix)]


async def test_an_interpreter_that_nobody_can_reach_is_not_chosen_by_itself(tmp_path):
    folder = tmp_path / "hidden" / "bin"
    folder.mkdir(parents=True)
    (tmp_path / "hidden").chmod(0o700)
    assert not interpreters.reachable(folder / "python3")
    assert interpreters.reachable(Path("/usr/bin/env"))


# --- where there is no sandbox, nothing is run


async def test_without_bubblewrap_nothing_is_run_and_the_package_is_named(monkeypatch):
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda _name: None)
    with pytest.raises(SandboxUnavailable, match="apt-get install bubblewrap") as refused:
        await sandbox(tried=False).run(program("print(1)"), 5)
    assert refused.value.reason == "SANDBOX_UNAVAILABLE"


async def test_on_a_machine_without_a_filter_nothing_is_run(monkeypatch):
    monkeypatch.setattr(bubblewrap.platform, "machine", lambda: "vax")
    with pytest.raises(SandboxUnavailable, match="'vax'"):
        await sandbox(tried=False).run(program("print(1)"), 5)


@pytest.mark.parametrize(
    ("wall", "without", "noticed"),
    [
        (["--unshare-all"], ["--unshare-uts", "--unshare-pid"], "no network"),
        (["--unshare-all"], ["--unshare-uts", "--unshare-net"], "cannot be looked at"),
        (["--remount-ro", "/"], [], "the system is read-only"),
        (["--size", str(SMALL.disk)], [], "disk is bounded"),
    ],
)
async def test_a_sandbox_with_a_missing_wall_is_not_used(monkeypatch, wall, without, noticed):
    def command(*args):
        words = list(walls.command(*args))
        for at in reversed(range(len(words) - len(wall) + 1)):
            if words[at : at + len(wall)] == wall:
                words[at : at + len(wall)] = without
        return words

    monkeypatch.setattr(bubblewrap, "command", command)
    with pytest.raises(SandboxUnavailable, match=noticed):
        await sandbox(tried=False).run(program("print(1)"), 5)


async def test_limits_that_do_not_hold_are_noticed(monkeypatch):
    monkeypatch.setattr(walls.Bounds, "inside", _unbounded)
    with pytest.raises(SandboxUnavailable) as refused:
        await sandbox(tried=False).check()
    for what in ("memory is", "processes are", "disk is"):
        assert f"{what} bounded" in refused.value.message


def _unbounded(self, seconds, interpreter):
    return {"wall": seconds, "output": 20_000, "returned": 0, "files": 0, "kernel": {}}


async def test_what_bubblewrap_says_against_it_is_told(monkeypatch):
    monkeypatch.setattr(bubblewrap, "command", lambda *_: ["/usr/bin/bwrap", "--no-such-option"])
    with pytest.raises(SandboxUnavailable, match="no-such-option"):
        await sandbox(tried=False).run(program("print(1)"), 5)


async def test_a_wall_that_cannot_be_built_is_told_whenever_that_is_noticed(monkeypatch):
    def command(*args):
        words = list(walls.command(*args))
        return [*words[:-1], "--ro-bind", "/no/such/folder", "/x", "--"]

    monkeypatch.setattr(bubblewrap, "command", command)
    for tried in (False, True):
        with pytest.raises(SandboxUnavailable, match="/no/such/folder"):
            await sandbox(tried=tried).run(program("print(1)"), 5)


def test_the_doctor_tries_the_sandbox(monkeypatch):
    found = checks.sandbox(Settings())
    assert found.state == "ok"
    assert found.detail.startswith("bubblewrap; python")
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda _name: None)
    found = checks.sandbox(Settings())
    assert (found.state, found.check) == ("warn", "sandbox")
    assert "apt-get install bubblewrap" in found.remedy
