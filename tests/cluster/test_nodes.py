"""Trees on several nodes: one dies under load; others come and go with the work."""

import os
import shutil
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.cluster.growing import BURST, LONG
from tests.cluster.losing import TASKS
from tests.support.autoscaler import HEAD, scaling_ray
from tests.support.cluster import certificates, drive, environment

pytestmark = [
    pytest.mark.ray, pytest.mark.chaos, pytest.mark.database, pytest.mark.timeout(240)
]  # fmt: skip


@pytest.fixture
def folder():
    made = Path(mkdtemp(prefix="cn", dir="/tmp"))  # short: Ray's sockets lie below it
    yield made
    shutil.rmtree(made, ignore_errors=True)


def printed(folder, prefix):
    """Return those of the settings that `cartrita certs` prints."""
    return {k: v for k, v in certificates(folder).items() if k.startswith(prefix)}


def test_every_accepted_task_completes_when_the_node_that_runs_them_dies(folder, database_url):
    """With Ray's settings of TLS alone, which the channels share."""
    variables = environment(folder, database_url, dict(os.environ)) | printed(folder, "RAY_")
    variables["CARTRITA_SERVER__METRICS_FROM"] = "0.0.0.0/0"  # so that a node lists another's

    seen = drive("tests.cluster.losing", folder, variables, 220)

    assert seen["lastWhenKilled"] != "COMPLETED", "the node died too late to matter"
    assert seen["accepted"] == TASKS
    assert seen["ends"] == {"COMPLETED": TASKS}
    assert seen["again"] > 0, "nothing was at work on the node that died"
    assert seen["victim"] not in seen["survivors"]
    assert seen["millsAfter"]
    assert set(seen["millsAfter"]) <= set(seen["survivors"])
    for places in (seen["before"], seen["after"]):
        assert [place["id"] for place in places] == ["intelligence/0", "multimodal/0", "system/0"]
        assert all(set(place["light"]) <= {place["node"]} for place in places), places
        assert any(place["light"] for place in places)
    assert {place["node"] for place in seen["after"]} <= set(seen["survivors"])
    assert seen["metrics"], "a host on another node keeps no metrics"
    counted = range(1, TASKS + 2) if seen["supervisorLost"] else [TASKS + 1]
    assert seen["counted"] in counted
    assert set(seen["tcp"]) <= {"TLSv1.3"}
    assert seen["tcp"] or not seen["supervisorLost"], "the shard was reached without TCP"
    assert seen["answers"] == {"certified": "TLSv1.3", "plain": "refused"}
    assert seen["rayByTls"] == "TLSv1.3"


def test_hosts_without_room_get_nodes_which_go_when_they_are_idle(folder, database_url):
    variables = environment(folder, database_url, dict(os.environ))
    brisk = {"CARTRITA_SUPERVISION__SHRINK_AFTER_S": "3", **printed(folder, "CARTRITA_")}

    with scaling_ray(folder, variables) as address:
        joined = {**variables, **brisk, "RAY_ADDRESS": address}
        seen = drive("tests.cluster.growing", folder, joined, 200)

    assert seen["atRest"] == [HEAD]
    added = set(seen["grown"]) - {HEAD}
    assert len(added) == 2
    assert set(seen["mills"]) == added, "each host has a node of its own"
    assert seen["ends"] == {"COMPLETED": BURST + LONG}
    assert set(seen["begun"]) == {1}, "a task was cut off when its host went"
    assert len(seen["leaving"]) == 1, "no host was told to go while it worked"
    assert seen["inTheEnd"] == [HEAD]
    assert set(seen["supervisors"]) == {HEAD}
