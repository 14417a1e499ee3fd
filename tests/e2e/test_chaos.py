"""Parts of a running instance die or freeze under load: nothing is lost. In short form.

The long form is `make chaos`; its figures are in benchmarks/results.
"""

import asyncio
import json
from pathlib import Path
from tempfile import mkdtemp

import psutil
import pytest

from benchmarks.cancels import cancel_races
from tests.support.instance import Instance, run_task, wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.ray,
    pytest.mark.chaos,
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="module")
def fragile():
    """Give an instance that is there to be broken."""
    made = Instance.planned(Path(mkdtemp(prefix="cartrita-chaos-")))
    made.environment["CARTRITA_CHAOS__SINK"] = "true"
    made.up()
    yield made
    made.close_clients()
    made.down()
    made.remove()


def broken(instance, options, tasks):
    """Run a load, break the instance under it, and return what came of that."""
    wait_until("it is ready", lambda: instance.ready, 120)  # after a run that broke even Ray
    words = f"chaos run {options} --tasks {tasks} --seed 7 --json".split()
    done = instance.cli(*words, timeout=360)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("options", "tasks"),
    [
        ("--kill worker --every 1 --rate 60", 120),
        ("--kill supervisor,orchestrator --every 2 --rate 60", 120),
        ("--kill gateway,haproxy,edge --every 4 --rate 30 --streams 30 --stream-work 2", 200),
        ("--kill postgres --pause postgres --hold 4 --every 4 --rate 40", 160),
        ("--kill valkey --every 2 --rate 60", 120),
        ("--pause worker --hold 15 --every 3 --rate 30", 120),
        ("--kill gcs --every 100 --rate 20", 120),
        ("--power-cut --rate 20", 120),
    ],
)
def test_nothing_is_lost_and_no_effect_is_had_twice(fragile, options, tasks):
    found = broken(fragile, options, tasks)
    assert (found["errors"], found["ends"]) == ({}, {"COMPLETED": tasks})
    assert (found["accepted"], found["lost"], found["duplicated"]) == (tasks, 0, 0)
    assert (found["overBudget"], found["violations"]) == (0, 0)
    assert found["effects"] == tasks
    assert found["withoutRetryAfter"] == 0
    assert found["streams"]["ended"] == found["streams"]["followed"]
    for name, fault in found["faults"].items():
        assert fault["hit"] >= 1, name
        assert fault["unhealed"] == 0, name


def test_what_is_cancelled_as_it_starts_does_not_run_on(fragile):
    token = fragile.login().headers["Authorization"].removeprefix("Bearer ")
    found = asyncio.run(cancel_races(fragile.urls["api"], token, tasks=300))
    assert found["still_running"] == 0
    assert found["cancelled"] == 300


def test_an_instance_without_the_sink_is_broken_too_but_its_effects_are_not_counted(instance):
    tasks = [task["taskType"] for task in instance.login().get("/v3/catalog").json()["tasks"]]
    assert "chaos.effect" not in tasks
    pid = instance.owner.pid
    found = broken(instance, "--kill valkey --rate 40", 40)
    assert (found["accepted"], found["lost"], found["duplicated"]) == (40, 0, None)
    assert psutil.Process(pid).is_running()
    assert run_task(instance.login(), "system.echo", {"payload": 1})["status"] == "COMPLETED"
