"""A real Prometheus watches a whole instance."""

import runpy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.instance import run_task, wait_until
from tests.support.prometheus import ROOT, prometheus

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(200)]

make = runpy.run_path(str(ROOT / "cluster" / "grafana" / "make.py"))

TEXT = Path("docs/sample.txt").read_text()

FAILS = [("huggingface.text.translation", {"text": "Hello"})]  # no model here can

WORK = [
    *FAILS,
    ("system.echo", {"payload": 1}),
    ("huggingface.text.summarization", {"text": TEXT, "maxLength": 60}),
    ("langchain.agent.execute", {"input": "What is 17 * 3?"}),
]


@pytest.fixture
def watching(instance, tmp_path):
    """Run a Prometheus that watches the instance."""
    with prometheus(tmp_path, instance.urls["api"]) as running:
        wait_until("it was scraped", lambda: running.query('up{job="cartrita"}') == [1.0])
        yield running


def work(client, some=WORK, times=3):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda one: run_task(client, *one), some * times))


def test_every_panel_has_data_and_an_alert_fires_once_tasks_fail(instance, watching):
    client = instance.login()
    wanted = {
        (panel["title"], text)
        for _, panel in make["panels"]()
        for _, text in make["queries"](panel, "1m")
    }

    def seen():
        work(client, WORK[1:2])
        return watching.query("sum(rate(cartrita_mcp_tasks_completed_total[1m])) > 0")

    wait_until("tasks are seen", seen)
    assert "HighErrorRate" not in watching.firing()

    def shown():
        work(client)
        client.get("/v3/tasks/nobody")
        wanted.difference_update({one for one in wanted if watching.query(one[1])})
        return not wanted

    try:
        wait_until("every panel has data", shown, 20)
    finally:
        assert not wanted, wanted

    def fires():
        work(client, FAILS)
        return "HighErrorRate" in watching.firing()

    wait_until("the alert fires", fires)
    assert watching.targets()["cartrita-edge"] == "up"
