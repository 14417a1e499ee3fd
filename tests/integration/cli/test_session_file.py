"""Tests of the session that commands share."""

import os
import subprocess
import sys
import threading

import pytest

from cartrita.cli import session_file
from cartrita.cli.session_file import FileSessions
from cartrita.client.models import Session
from cartrita.errors import ConfigurationInvalid, ServiceUnavailable

HOLDER = """
import sys
from pathlib import Path
from cartrita.cli.session_file import FileSessions
with FileSessions(Path(sys.argv[1])).exclusive():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "session.json"


@pytest.fixture
def holder(path):
    """Let another process hold the lock until it is told a line."""
    argv = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        yield other
        other.stdin.close()
        other.wait(10)


def test_what_was_written_is_read(path):
    sessions = FileSessions(path)
    assert sessions.read() is None
    sessions.write(Session(token="t", refresh_token="r"))
    assert FileSessions(path).read() == Session(token="t", refresh_token="r")


def test_nobody_else_can_read_it(path):
    FileSessions(path).write(Session(token="t"))
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "{}", '{"token": ""}', "\x00"])
def test_a_broken_file_is_no_session(path, content):
    path.parent.mkdir()
    path.write_text(content)
    assert FileSessions(path).read() is None


def test_one_command_renews_while_the_others_wait(path, holder):
    done = threading.Event()

    def renew():
        with FileSessions(path).exclusive():
            done.set()

    waiting = threading.Thread(target=renew)
    waiting.start()
    assert not done.wait(0.2)
    holder.stdin.write("\n")
    holder.stdin.flush()
    assert done.wait(10)
    waiting.join(10)


def test_nobody_waits_for_ever(path, holder, monkeypatch):
    monkeypatch.setattr(session_file, "LOCK_TIMEOUT", 0.1)
    with (
        pytest.raises(ServiceUnavailable, match=r"session\.lock"),
        FileSessions(path).exclusive(),
    ):
        pytest.fail("the lock is somebody else's")


def test_a_home_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    sessions = FileSessions(tmp_path / "file" / "session.json")
    with pytest.raises(ConfigurationInvalid, match="--home"):
        sessions.write(Session(token="t"))
    with pytest.raises(ConfigurationInvalid, match="--home"), sessions.exclusive():
        pytest.fail("there is nothing to lock")


def test_the_lock_ends_with_its_process(path, holder):
    os.kill(holder.pid, 9)
    with FileSessions(path).exclusive():
        assert path.with_suffix(".lock").exists()
