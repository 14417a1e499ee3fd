"""Parts of a running instance die or freeze under load: nothing is lost. In short form.

The long form is `make chaos`; its figures are in benchmarks/results.
"""

import asyncio
import json
import random
from pathlib import Path
from tempfile import mkdtemp

import psutil
import pytest

from benchmarks.cancels import cancel_races
from benchmarks.collector import collecting
from benchmarks.harness import Instance as Bench
from benchmarks.traces import Plan, settled, storm
from cartrita.chaos.plan import Kind
from cartrita.chaos.victims import Processes
from tests.support.held_model import ADD, HeldModel, asked_by, turns_of
from tests.support.instance import Instance, run_task, wait_until
from tests.support.live_overdraw import CHAT, Scene, with_model
from tests.support.openai_replies import Call, Say
from tests.support.openai_server import served

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.ray,
    pytest.mark.chaos,
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="module")
def model():
    """Give what the fragile instance's model says."""
    return HeldModel()


@pytest.fixture(scope="module")
def provider(model):
    """Give the server behind which it is."""
    with served(model) as server:
        yield server


@pytest.fixture(scope="module")
def collected():
    """Give what the fragile instance tells of its traces."""
    with collecting() as made:
        yield made


@pytest.fixture(scope="module")
def fragile(provider, collected):
    """Give an instance that is there to be broken."""
    made = Instance.planned(Path(mkdtemp(prefix="cartrita-chaos-")))
    made.environment["CARTRITA_CHAOS__SINK"] = "true"
    made.environment["CARTRITA_TELEMETRY__OTLP_ENDPOINT"] = collected.url
    made.environment["CARTRITA_TELEMETRY__TRACE_RATIO"] = "1"
    with_model(made, provider.base_url)
    made.up()
    yield made
    made.close_clients()
    made.down()
    made.remove()


async def test_traces_are_whole_though_a_worker_and_a_supervisor_die(fragile, collected):
    """The long form is `python -m benchmarks.traces`."""
    running = Bench(fragile.home, fragile.environment, fragile.urls)
    plan = Plan(["system.echo"] * 60, 30, {20: Kind.WORKER, 30: Kind.SUPERVISOR})
    clients, killed = await storm(running, plan, random.Random(1))
    assert set(killed) == {Kind.WORKER, Kind.SUPERVISOR}
    found = await settled(clients, collected, killed)
    assert found["ended"] == found["whole"] == 60, found["missing"]


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


def test_a_crowd_overdraws_no_budget_while_its_hosts_die(fragile, model):
    crowd = Scene(fragile, model, seed=3, callers=40, fits=4, twice=False)
    toll = asyncio.run(crowd.run())
    assert toll.answers["accepted"] == toll.most == 4
    assert toll.killed >= 1
    assert len(toll.samples) > 20
    assert toll.settled[1] <= model.tokens


def test_an_agent_goes_on_where_its_host_died_and_its_session_is_remembered(
    fragile, model, provider
):
    hook = provider.base_url.removesuffix("/v1") + "/hook"
    post = Call("webhook_send", {"url": hook, "body": {"n": 42}}, id="post")
    order, name = "Work it out and send it.", "My name is Ada."
    steps = [ADD, post, Say("It is sent.")]
    model.answer = lambda request: (
        steps[len(turns_of(request))] if asked_by(request) == order else Say("Good to know.")
    )
    client, session = fragile.register("talker@example.org"), {"sessionId": "acquaintance"}
    run_task(client, CHAT, {"message": name}, **session)
    model.hold()
    task_id = begun(client, "langchain.agent.execute", {"input": order})
    approve(client, task_id)
    wait_until("both tools were used", lambda: model.asked[order, 2] == 1)

    assert kill_hosts(fragile, "intelligence/0") >= 1
    wait_until("it is asked once more", lambda: model.asked[order, 2] == 2, 60)
    model.release()

    answer = client.get(f"/v3/tasks/{task_id}?wait=30").json()
    assert (answer["status"], answer["result"]["output"]) == ("COMPLETED", "It is sent.")
    assert [model.asked[order, number] for number in range(3)] == [1, 1, 2]
    assert [request.path for request in provider.seen].count("/hook") == 1
    story = client.get(f"/v3/tasks/{task_id}/story").json()
    assert [attempt["outcome"] for attempt in story["attempts"]] == ["lost", "completed"]
    assert [run["name"] for run in story["toolCalls"]] == ["calculator", "webhook_send"]
    assert [(one["attempt"], one["state"]) for one in story["effects"]] == [(1, "done")]

    again = run_task(client, CHAT, {"message": "What is my name?"}, **session)
    assert again["result"]["metadata"]["remembered"] == 2
    said = [one["content"] for one in provider.requests[-1]["messages"]]
    assert said[-3:] == [name, "Good to know.", "What is my name?"]
    model.answer = model.errand


def begun(client, task_type, parameters):
    """Have a task accepted and return its id."""
    body = {"taskType": task_type, "parameters": parameters}
    answer = client.post("/v3/tasks", json=body, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    return answer.json()["taskId"]


def approve(client, task_id):
    """Let a task use the tool that it will ask for."""

    def mine():
        rows = client.get("/v3/approvals").json()["approvals"]
        return [row["approvalId"] for row in rows if row["taskId"] == task_id]

    wait_until("it asks", lambda: bool(mine()))
    answer = client.post(f"/v3/approvals/{mine()[0]}", json={"decision": "approve"})
    assert answer.status_code == 200, answer.text


def kill_hosts(running, shard):
    """Kill the hosts of a shard that have work, and return how many there were."""
    supervisors = running.login().get("/v3/tree").json()["supervisors"]
    hosts = next(row["hosts"] for row in supervisors if row["id"] == shard)
    busy = [host["pid"] for host in hosts if host["inFlight"]]
    return sum(Processes(running.owner.pid).kill(psutil.Process(pid)) for pid in busy)


def test_an_instance_without_the_sink_is_broken_too_but_its_effects_are_not_counted(instance):
    tasks = [task["taskType"] for task in instance.login().get("/v3/catalog").json()["tasks"]]
    assert "chaos.effect" not in tasks
    pid = instance.owner.pid
    found = broken(instance, "--kill valkey --rate 40", 40)
    assert (found["accepted"], found["lost"], found["duplicated"]) == (40, 0, None)
    assert psutil.Process(pid).is_running()
    assert run_task(instance.login(), "system.echo", {"payload": 1})["status"] == "COMPLETED"
