"""Tests of finding processes through /proc."""

import os
import subprocess
import sys

import pytest

from cartrita.storage.embedded import orphans
from cartrita.storage.embedded.child import MARK

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")

SLEEP = os.path.realpath("/bin/sleep")


@pytest.fixture
def sleeper():
    """Start `sleep` with an environment, and end it after the test."""
    started = []

    def start(env):
        process = subprocess.Popen([SLEEP, "60"], env=env)
        started.append(process)
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_finds_children_and_their_children():
    script = "/bin/sleep 60 & echo $!; wait"
    with subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE) as shell:
        grandchild = int(shell.stdout.readline())
        try:
            below = orphans.descendants(os.getpid())
            assert below.index(shell.pid) < below.index(grandchild)
            beside = orphans.descendants(os.getpid(), beside=[shell.pid])
            assert shell.pid not in beside
            assert grandchild not in beside
        finally:
            orphans.kill([shell.pid, grandchild])


def test_knows_a_process_by_its_mark_and_not_by_its_program(sleeper):
    mine, other = sleeper({MARK: "mine"}), sleeper({MARK: "other"})
    assert orphans.left_by("mine", SLEEP, [mine, other]) == [mine]


def test_knows_a_process_without_a_mark_by_its_program(sleeper):
    unmarked = sleeper({})
    assert orphans.left_by("mine", SLEEP, [unmarked]) == [unmarked]
    assert orphans.left_by("mine", sys.executable, [unmarked]) == []


def test_a_process_that_is_gone_belongs_to_nobody():
    gone = subprocess.Popen([SLEEP, "0"])
    gone.wait()
    assert orphans.left_by("mine", SLEEP, [gone.pid]) == []
    orphans.kill([gone.pid])
    orphans.kill_group(gone.pid)
