"""A tree on two worker nodes, one of which dies."""

import os
import shutil
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.support.cluster import TASKS, drive, environment

pytestmark = [
    pytest.mark.ray, pytest.mark.chaos, pytest.mark.database, pytest.mark.timeout(240)
]  # fmt: skip


@pytest.fixture
def folder():
    made = Path(mkdtemp(prefix="cn", dir="/tmp"))  # short: Ray's sockets lie below it
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_every_accepted_task_completes_when_the_node_that_runs_them_dies(folder, database_url):
    variables = environment(folder, database_url, dict(os.environ))

    seen = drive(folder, variables, timeout=220)

    assert seen["lastWhenKilled"] != "COMPLETED", "the node died too late to matter"
    assert seen["accepted"] == TASKS
    assert seen["ends"] == {"COMPLETED": TASKS}
    assert seen["again"] > 0, "nothing was at work on the node that died"
    assert seen["hostsAfter"]
    assert set(seen["hostsAfter"]) <= set(seen["survivors"])
    assert seen["victim"] not in seen["survivors"]
    assert seen["tcp"], "no channel crossed nodes by TCP"
    assert seen["refusesPlain"], "the TCP port spoke without TLS"
