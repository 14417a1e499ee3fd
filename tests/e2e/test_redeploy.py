"""Gateways are replaced under load, and nobody is refused."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.instance import run_task, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(400)]


class Followers:
    """Follow tasks by server-sent events, one after another, and note how it went."""

    def __init__(self, client, over):
        self._client, self._over = client, over
        self.broken_off, self.begun, self.logs = 0, [], []

    def follow(self, delay):
        while not self._over.is_set():
            body = {"taskType": "system.echo", "parameters": {"payload": 1, "delayMs": delay}}
            asked = self._client.post("/v3/tasks", json=body, headers={"Prefer": "respond-async"})
            assert asked.status_code == 202, asked.text
            self.logs.append(self._to_the_end(f"{asked.headers['Location']}/events"))

    def _to_the_end(self, path):
        events, last = [], {}
        while not events or events[-1]["type"] != "completed":
            with self._client.stream("GET", path, headers=last) as stream:
                assert stream.status_code == 200
                self.begun.append(path)
                lines = [one[5:] for one in stream.iter_lines() if one.startswith("data:")]
            events += map(json.loads, lines)
            last = {"Last-Event-ID": events[-1]["cursor"]} if events else {}
            self.broken_off += not events or events[-1]["type"] != "completed"
        return [event["type"] for event in events]


def submit(client, over, delay):
    """Submit without a pause; returns how many were answered, all of them well."""
    count = 0
    while not over.is_set():
        answer = run_task(client, "system.echo", {"payload": count, "delayMs": delay})
        assert answer["status"] == "COMPLETED", answer
        count += 1
    return count


def test_a_redeploy_under_load_fails_no_request(instance):
    over = threading.Event()
    client = instance.register("busy@example.org")
    client.timeout = 60
    before = {process.pid for process in instance.processes()}
    followers = Followers(client, over)
    with ThreadPoolExecutor(8) as pool:
        loads = [pool.submit(submit, client, over, delay) for delay in (0, 0, 0, 1500)]
        # Of different lengths, or all may be between two streams when the gateway leaves.
        reads = [pool.submit(followers.follow, delay) for delay in (3100, 4000, 5300)]
        try:
            wait_until("streams are read", lambda: len(set(followers.begun)) >= len(reads))
            done = instance.cli("redeploy", timeout=120)
        finally:
            over.set()
        counts = [load.result() for load in loads]
        for read in reads:
            read.result()
    assert done.returncode == 0, done.stderr
    assert min(counts) > 1
    assert sum(counts) > 100
    assert {tuple(log) for log in followers.logs} == {
        ("accepted", "queued", "started", "completed")
    }
    assert followers.broken_off > 0, "streams do not hold a gateway that leaves"
    gateways = [
        process
        for process in instance.processes()
        if "ServeReplica:cartrita" in " ".join(process.cmdline())
    ]
    assert len(gateways) == 1
    assert gateways[0].pid not in before
    assert httpx.get(f"{instance.urls['api']}/readyz").status_code == 200


def test_a_redeploy_where_nothing_runs_says_so(spare):
    done = spare.cli("redeploy")

    assert done.returncode == 3
    assert "cartrita up" in done.stderr
