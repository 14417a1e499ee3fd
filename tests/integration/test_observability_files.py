"""The files for Prometheus, Grafana and the collector, against their programs and our names."""

import json
import re
import runpy
import shutil
import subprocess

import pytest
import yaml

from cartrita.telemetry.metrics import REGISTRY
from tests.support.prometheus import HOME, NEEDED, ROOT

GRAFANA = ROOT / "cluster" / "grafana"
make = runpy.run_path(str(GRAFANA / "make.py"))

README_ALERTS = {"HighErrorRate", "HighLatency"}
WHITEPAPER_ALERTS = {
    "MCPOrchestratorDown", "MCPHighErrorRate", "MCPHighLatency", "MCPCostBudgetExceeded"
}  # fmt: skip
DASHBOARDS = {
    "MCP Overview", "Agent Performance", "Cost Analysis", "Error Analysis", "Infrastructure"
}  # fmt: skip


def promtool(*words):
    program = shutil.which("promtool")
    assert program, NEEDED
    done = subprocess.run(
        [program, *words], cwd=HOME, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def rules():
    groups = yaml.safe_load((HOME / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def names_in(text):
    """Return the names of our metrics in a query."""
    found = re.findall(r"\b(?:cartrita_mcp|gen_ai)_[a-z_]+(?=[\[{) ]|$)", text)
    return {name for name in found if not name.startswith("gen_ai_") or _is_metric(name, text)}


def _is_metric(name, text):
    return bool(re.search(rf"{name}[\[{{]", text))


def public_names():
    return {sample for names in REGISTRY._collector_to_names.values() for sample in names}


def test_prometheus_accepts_the_configuration():
    code, said = promtool("check", "config", "prometheus.yml")
    assert code == 0, said


def test_every_alert_fires_on_what_it_is_for_and_not_on_a_system_that_is_well():
    code, said = promtool("test", "rules", "alerts_test.yml")
    assert code == 0, said


def test_every_alert_has_an_example_of_its_firing():
    tests = yaml.safe_load((HOME / "alerts_test.yml").read_text())["tests"]
    shown = {one["alertname"] for test in tests for one in test["alert_rule_test"]
             if one.get("exp_alerts")}  # fmt: skip
    assert shown == set(rules())


def test_the_alerts_of_the_seed_are_there():
    assert set(rules()) >= README_ALERTS | WHITEPAPER_ALERTS


@pytest.mark.parametrize("alert", sorted(rules()))
def test_an_alert_asks_for_metrics_that_there_are(alert):
    assert names_in(rules()[alert]["expr"]) <= public_names()


def test_the_dashboards_are_those_of_the_source():
    kept = {path.name: path.read_text() for path in (GRAFANA / "dashboards").glob("*.json")}
    assert kept == make["dashboards"](), "run: python cluster/grafana/make.py"


def test_the_five_dashboards_of_the_seed_are_there():
    assert {json.loads(text)["title"] for text in make["dashboards"]().values()} == DASHBOARDS


def test_every_panel_asks_for_metrics_that_there_are():
    for board, panel in make["panels"]():
        for _, text in make["queries"](panel, "5m"):
            unknown = names_in(text) - public_names()
            assert not unknown, (board, panel["title"])


def test_panels_do_not_overlap():
    for text in make["dashboards"]().values():
        taken = set()
        for panel in json.loads(text)["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells


def test_grafana_s_source_is_the_one_the_panels_name():
    path = GRAFANA / "provisioning" / "datasources" / "cartrita.yaml"
    (source,) = yaml.safe_load(path.read_text())["datasources"]
    assert source["uid"] == make["SOURCE"]["uid"]


def test_every_part_of_the_collector_s_pipelines_is_defined():
    told = yaml.safe_load((ROOT / "cluster" / "otel" / "collector.yaml").read_text())
    for pipeline in told["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(told[kind])
    assert set(told["service"]["extensions"]) <= set(told["extensions"])
