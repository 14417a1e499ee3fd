"""The main job, as a stranger would do it, on one running instance."""

import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from cartrita.clock import new_id
from tests.support.honesty import honest
from tests.support.instance import run_task, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(400)]

SEED_METRICS = (
    "tasks_started_total",
    "tasks_completed_total",
    "tasks_failed_total",
    "task_duration_seconds",
    "messages_sent_total",
    "messages_received_total",
    "message_latency_seconds",
    "tokens_used_total",
    "cost_incurred_usd_total",
    "model_usage_total",
    "agent_health",
    "agent_cpu_usage_percent",
    "agent_memory_usage_bytes",
)


def supervisor(client: httpx.Client, shard: str) -> dict:
    tree = client.get("/v3/tree").json()
    return next(row for row in tree["supervisors"] if row["id"] == shard)


def test_a_summary_goes_through_all_three_tiers_and_says_what_it_cost(instance):
    client = instance.register("reader@example.org")
    text = Path("docs/sample.txt").read_text()
    answer = run_task(
        client,
        "huggingface.text.summarization",
        {"text": text, "maxLength": 60},
        priority=5,
        timeout=30000,
    )
    assert answer["status"] == "COMPLETED", answer
    assert 0 < len(answer["result"]["summary"]) < len(text)
    assert all(s["text"] in text for s in answer["result"]["sentences"])
    assert answer["metrics"]["costUsd"] == 0.001
    assert answer["metrics"]["modelUsed"] == "local/minilm-extractive"
    assert answer["metrics"]["processingTimeMs"] > 0


def test_every_example_of_the_catalogue_works_or_names_the_model_it_needs(instance):
    client = instance.login()
    tasks = client.get("/v3/catalog").json()["tasks"]
    assert len(tasks) >= 11
    for task in tasks:
        answer = client.post("/v3/tasks", json=task["example"]).json()
        assert honest(task["example"]["taskType"], answer), answer


def test_the_command_line_runs_a_task_of_this_machines_instance(instance):
    query = ("query=select sum(x) as n from data", 'data=[{"x": 41}, {"x": 1}]')
    done = instance.cli("run", "analytics.run_query", *query, "--json")
    assert done.returncode == 0, done.stderr
    assert '"rows": [' in done.stdout
    assert instance.cli("run", "huggingface.text.translation", "text=Hello").returncode == 1
    assert instance.cli("run", "no.such.task").returncode in (2, 3)


def test_the_tree_shows_every_tier_to_admins_and_no_processes_to_users(instance):
    tree = instance.login().get("/v3/tree").json()
    teams = {row["team"]: row for row in tree["supervisors"]}
    assert set(teams) == {"intelligence", "multimodal", "system"}
    assert tree["orchestrator"]["state"] == "up"
    assert psutil.pid_exists(tree["orchestrator"]["pid"])
    assert psutil.pid_exists(teams["system"]["hosts"][0]["pid"])
    assert {row["name"] for row in tree["services"]} >= {"postgres", "valkey", "ray", "edge"}
    assert '"pid"' not in instance.register("curious@example.org").get("/v3/tree").text


def test_metrics_are_exact_and_summed_over_all_processes(instance):
    client = instance.login()

    def echoes() -> float:
        text = client.get("/metrics").text
        found = re.findall(
            r'^cartrita_mcp_tasks_completed_total{[^}]*task_type="system.echo"[^}]*} (\S+)$',
            text,
            re.MULTILINE,
        )
        return sum(map(float, found))

    before = echoes()
    for _ in range(7):
        run_task(client, "system.echo", {"payload": 1})
    wait_until("all are counted, and none twice", lambda: echoes() >= before + 7)
    assert echoes() == before + 7
    text = client.get("/metrics").text
    for name in SEED_METRICS:
        family = name.removesuffix("_total")
        assert f"# TYPE cartrita_mcp_{family}" in text, name


def test_an_accepted_task_survives_the_death_of_its_worker_and_of_its_supervisor(instance):
    client = instance.login()
    client.timeout = 90
    slow = {"payload": "kept", "delayMs": 4000}
    for victim in ("host", "supervisor"):
        row = supervisor(client, "system/0")
        pid = row["hosts"][0]["pid"] if victim == "host" else row["pid"]
        with ThreadPoolExecutor(5) as pool:
            running = [
                pool.submit(run_task, client, "system.echo", slow, timeout=60000) for _ in range(5)
            ]
            wait_until("it runs", lambda: supervisor(client, "system/0")["inFlight"] >= 5)
            psutil.Process(pid).send_signal(signal.SIGKILL)
            answers = [task.result() for task in running]
        assert {answer["status"] for answer in answers} == {"COMPLETED"}, answers
        assert all(answer["result"] == {"payload": "kept"} for answer in answers)
    assert supervisor(client, "system/0")["restarts"] >= 1


def test_the_death_of_the_orchestrator_stops_no_task(instance):
    client = instance.login()
    pid = client.get("/v3/tree").json()["orchestrator"]["pid"]
    psutil.Process(pid).send_signal(signal.SIGKILL)
    for _ in range(20):
        assert run_task(client, "system.echo", {"payload": 1})["status"] == "COMPLETED"

    def back() -> bool:
        above = client.get("/v3/tree").json()["orchestrator"]
        return above.get("state") == "up" and above.get("pid") not in (None, pid)

    wait_until("the orchestrator is back", back, 60)
    assert client.get("/v3/tree").json()["orchestrator"]["restarts"] == 1


def test_a_task_that_was_only_accepted_can_be_waited_for(instance):
    client = instance.register("patient@example.org")
    task_id = new_id()
    answer = client.post(
        "/v3/tasks",
        headers={"Prefer": "respond-async"},
        json={
            "taskType": "system.echo",
            "taskId": task_id,
            "parameters": {"payload": 1, "delayMs": 300},
        },
    )
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v3/tasks/{task_id}"
    done = client.get(answer.headers["Location"], params={"wait": 20}).json()
    assert done["status"] == "COMPLETED"
    stranger = instance.register("stranger@example.org")
    assert stranger.get(f"/v3/tasks/{task_id}").status_code == 404


def test_nothing_of_ours_listens_beyond_this_machine_but_ray_which_asks_for_a_token(instance):
    for process in instance.processes():
        for connection in process.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN:
                continue
            loopback = connection.laddr.ip in ("127.0.0.1", "::1", "::ffff:127.0.0.1")
            ray = any("ray" in word for word in process.cmdline()[:8])
            assert loopback or ray, (process.cmdline(), connection.laddr)
    refused = httpx.get(f"{instance.urls['dashboard']}/api/jobs/", timeout=10)
    assert refused.status_code == 401


def test_a_second_start_in_the_same_home_says_who_has_it(instance):
    done = instance.cli("up")
    assert done.returncode == 2
    assert str(instance.owner.pid) in done.stderr


def test_a_taken_port_is_named_with_its_setting(instance, spare):
    port = instance.environment["CARTRITA_SERVER__PORT"]
    spare.environment["CARTRITA_SERVER__PORT"] = port
    done = spare.cli("up")
    assert done.returncode == 2
    assert "CARTRITA_SERVER__PORT" in done.stderr
    assert port in done.stderr


def test_a_foreign_ray_is_named_instead_of_waited_for(spare, services):
    spare.environment["RAY_ADDRESS"] = "127.0.0.1:1"
    done = spare.cli("up")
    assert done.returncode == 2
    assert "RAY_ADDRESS" in done.stderr
    spare.environment["CARTRITA_POSTGRES__URL"] = services.postgres_url
    done = spare.cli("up")
    assert done.returncode == 3
    assert "No Ray answers" in done.stderr
    del spare.environment["RAY_ADDRESS"]


def assert_drained(instance):
    """Have an instance end: what it accepted is answered, and what comes now is refused."""
    client = instance.login()
    api, who = instance.urls["api"], {"Authorization": client.headers["Authorization"]}
    body = {"taskType": "system.echo", "parameters": {"payload": 1}}
    slow = {"payload": "accepted", "delayMs": 5000}
    with ThreadPoolExecutor(4) as pool:
        accepted = [pool.submit(run_task, client, "system.echo", slow) for _ in range(3)]
        wait_until("all run", lambda: supervisor(client, "system/0")["inFlight"] >= 3)
        down = pool.submit(instance.down)

        def refused():
            answer = httpx.post(f"{api}/v3/tasks", json=body, headers=who)
            if answer.status_code == 503:
                assert answer.headers["retry-after"]
                assert answer.json()["code"] == "SERVICE_UNAVAILABLE"
            return answer.status_code == 503

        wait_until("new ones are refused", refused)
        assert not any(task.done() for task in accepted), "they were refused before the rest ended"
        assert [task.result()["result"] for task in accepted] == 3 * [{"payload": "accepted"}]
        assert down.result().returncode == 0


def test_killing_the_owner_leaves_no_process_and_the_next_start_has_every_task(spare, instance):
    spare.up()
    client = spare.login()
    done = run_task(client, "system.echo", {"payload": "durable"})
    processes = spare.processes()
    spare.owner.kill()
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive, [process.cmdline() for process in alive]
    assert run_task(instance.login(), "system.echo", {"payload": 1})["status"] == "COMPLETED"
    spare.up()
    again = spare.login().get(f"/v3/tasks/{done['taskId']}").json()
    assert again["result"] == {"payload": "durable"}
    started = time.monotonic()
    processes = spare.processes()
    assert_drained(spare)
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive, (time.monotonic() - started, [process.cmdline() for process in alive])
    assert (spare.home / "logs" / "remove.log").exists(), "it was drained, not dropped"
    assert not (spare.home / "instance.json").exists()


def test_servers_that_run_already_are_used_instead_of_our_own(spare, services):
    with services.fresh_database() as url:
        spare.environment["CARTRITA_POSTGRES__URL"] = url
        spare.environment["CARTRITA_REDIS__URL"] = services.redis_url
        spare.environment["CARTRITA_SERVER__TLS_SELF_MADE"] = "true"
        spare.up()
        assert spare.urls["api"].startswith("https://")
        assert spare.cli("run", "system.echo", "payload=1").returncode == 0
        assert spare.cli("status").returncode == 0
        client = spare.login()
        assert run_task(client, "system.echo", {"payload": 1})["status"] == "COMPLETED"
        names = {row["name"] for row in client.get("/v3/tree").json()["services"]}
        assert names == {"ray", "edge"}
        spare.down()


def test_the_library_is_light_to_import():
    code = (
        "import cartrita, sys; print([m for m in ('ray', 'torch', 'openai') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
