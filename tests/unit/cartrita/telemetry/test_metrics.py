"""The metrics by their public names, over all processes of a node."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cartrita.telemetry import metrics
from cartrita.telemetry.metrics import CONTENT_TYPE, REGISTRY, exposition

LABELS = {
    "cartrita_mcp_tasks_started_total": {"task_type", "agent_id"},
    "cartrita_mcp_tasks_completed_total": {"task_type", "agent_id"},
    "cartrita_mcp_tasks_failed_total": {"task_type", "agent_id", "error_code"},
    "cartrita_mcp_task_duration_seconds": {"task_type", "agent_id", "status"},
    "cartrita_mcp_messages_sent_total": {"message_type", "sender", "recipient"},
    "cartrita_mcp_messages_received_total": {"message_type", "sender", "recipient"},
    "cartrita_mcp_message_latency_seconds": {"message_type"},
    "cartrita_mcp_tokens_used_total": {"model", "task_type"},
    "cartrita_mcp_cost_incurred_usd_total": {"model", "task_type"},
    "cartrita_mcp_model_usage_total": {"model", "task_type"},
    "cartrita_mcp_bridge_compared_total": {"outcome"},
    "cartrita_mcp_bridge_served_total": {"side"},
    "cartrita_mcp_cache_lookups_total": {"task_type", "outcome"},
    "cartrita_mcp_quality_verdicts_total": {"task_type", "verdict"},
    "cartrita_mcp_trace_spans_total": {"collector"},
    "cartrita_mcp_traces_dropped_total": {"reason"},
    "cartrita_mcp_provider_calls_total": {"provider", "outcome"},
    "cartrita_mcp_provider_limit": {"provider"},
    "cartrita_mcp_provider_under_way": {"provider"},
    "cartrita_mcp_provider_circuits_open": {"provider"},
    "cartrita_mcp_task_queue_time_seconds": {"task_type"},
    "cartrita_mcp_task_retries_total": {"task_type", "agent_id"},
    "cartrita_mcp_tasks_quarantined_total": {"agent_id"},
    "cartrita_mcp_messages_dropped_total": {"reason"},
    "cartrita_mcp_message_errors_total": {"message_type", "error_type"},
    "cartrita_mcp_message_queue_depth": {"shard"},
    "cartrita_mcp_message_queue_bound": {"shard"},
    "cartrita_mcp_supervisor_running_tasks": {"shard"},
    "cartrita_mcp_supervisor_capacity": {"shard"},
    "cartrita_mcp_supervisor_missing": {"shard"},
    "cartrita_mcp_supervisor_deaths_total": {"shard"},
    "cartrita_mcp_hosts": {"shard", "group"},
    "cartrita_mcp_hosts_wanted": {"shard", "group"},
    "cartrita_mcp_host_deaths_total": {"shard", "group"},
    "cartrita_mcp_group_down": {"shard", "group"},
    "cartrita_mcp_group_quarantined": {"shard", "group"},
    "cartrita_mcp_journal_write_seconds": {"shard"},
    "cartrita_mcp_journal_entries_total": {"shard"},
    "cartrita_mcp_journal_waiting": {"shard"},
    "cartrita_mcp_journal_up": {"shard"},
    "cartrita_mcp_journal_errors_total": {"shard", "error_type"},
    "cartrita_mcp_budget_refusals_total": {"kind"},
    "cartrita_mcp_budget_tight_total": {"level"},
    "cartrita_mcp_http_request_duration_seconds": {"route", "method", "status"},
    "cartrita_mcp_transport_connections": {"transport_type"},
    "cartrita_mcp_transport_errors_total": {"transport_type", "error_type"},
    "cartrita_mcp_transport_bytes_transferred_total": {"transport_type", "direction"},
    "cartrita_mcp_resource_utilization": {"resource"},
    "gen_ai_client_operation_duration_seconds": {
        "gen_ai_operation_name",
        "gen_ai_provider_name",
        "gen_ai_request_model",
        "error_type",
    },
    "gen_ai_client_token_usage": {
        "gen_ai_operation_name",
        "gen_ai_provider_name",
        "gen_ai_request_model",
        "gen_ai_token_type",
    },
    "gen_ai_invoke_agent_duration_seconds": {"gen_ai_agent_name", "error_type"},
    "gen_ai_execute_tool_duration_seconds": {"gen_ai_tool_name", "error_type"},
    "cartrita_mcp_agent_active_tasks": {"agent_id"},
    "cartrita_mcp_agent_health": {"agent_id"},
    "cartrita_mcp_agent_cpu_usage_percent": {"agent_id"},
    "cartrita_mcp_agent_memory_usage_bytes": {"agent_id"},
}

# Counts under every name there is, says so, and waits to be ended.
PROCESS = """
import sys
from cartrita.telemetry import metrics

value = float(sys.argv[1])
for metric in vars(metrics).values():
    names = getattr(metric, "_labelnames", None)
    if names is None:
        continue
    child = metric.labels(*names) if names else metric
    for act in ("inc", "observe", "set"):
        if hasattr(child, act) and not (act == "inc" and hasattr(child, "set")):
            getattr(child, act)(value)
metrics.write()
print("counted", flush=True)
sys.stdin.read()
"""


# Counts, begins a child that counts, too, and ends as programs do.
FORKS = """
import os
from cartrita.telemetry.metrics import TASKS_QUARANTINED, labelled, write

labelled(TASKS_QUARANTINED, "forks").inc(5)
if child := os.fork():
    os.waitpid(child, 0)
else:
    labelled(TASKS_QUARANTINED, "forks").inc(1)
    write()
    os._exit(0)
"""


@contextmanager
def counting(folder, value):
    """Run a process that counts `value` under every name; killed at the end."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    argv = [sys.executable, "-c", PROCESS, str(value)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=environment, stdin=pipe, stdout=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def samples(text):
    """Return the value of each series by its name; labels are equal to their names here."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.labels.get("le") in (None, "+Inf")
    }


@pytest.fixture(scope="module")
def scrapes(tmp_path_factory):
    """Scrape two processes, then again after one was killed; give both answers."""
    folder = tmp_path_factory.mktemp("metrics")
    with counting(folder, 2) as stays, counting(folder, 3) as dies:
        assert stays.stdout.readline() == dies.stdout.readline() == b"counted\n"
        both = exposition(folder)
        dies.kill()
        dies.wait(10)
        return both, exposition(folder)


def test_the_names_and_labels_are_the_public_ones():
    described = {}
    for collector in REGISTRY._collector_to_names:
        (family,) = collector.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        described[name] = set(collector._labelnames)
    assert described == LABELS


def test_processes_show_the_public_names_and_no_others(scrapes):
    shown = set()
    for family in text_string_to_metric_families(scrapes[0].decode()):
        shown.add(f"{family.name}_total" if family.type == "counter" else family.name)
    assert shown == set(LABELS)


@pytest.mark.parametrize("moment", [0, 1], ids=["both alive", "one killed"])
def test_counts_add_up_over_processes_dead_ones_included(scrapes, moment):
    found = samples(scrapes[moment])
    for name in LABELS:
        if name.endswith("_total"):
            assert found[name] == 5, name
    for name in ("task_duration_seconds", "message_latency_seconds"):
        assert found[f"cartrita_mcp_{name}_count"] == 2
        assert found[f"cartrita_mcp_{name}_sum"] == 5
        assert found[f"cartrita_mcp_{name}_bucket"] == 2


def test_a_child_counts_for_itself_and_what_ends_writes_what_it_counted(tmp_path):
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", FORKS], env=environment, check=True)
    assert samples(exposition(tmp_path))["cartrita_mcp_tasks_quarantined_total"] == 6


def test_nothing_is_counted_where_a_setting_says_so(monkeypatch):
    monkeypatch.setattr(metrics, "_counting", True)
    metrics.stop_counting()
    child = metrics.labelled(metrics.TASKS_QUARANTINED, "nobody")
    for count in (child.inc, child.dec, child.set, child.observe):
        count(1)
    metrics.labelled.cache_clear()
    assert b'agent_id="nobody"' not in exposition(None)


def test_a_reading_is_that_of_the_living(scrapes):
    for name in ("agent_health", "agent_cpu_usage_percent", "agent_memory_usage_bytes"):
        both, left = (samples(text)[f"cartrita_mcp_{name}"] for text in scrapes)
        assert (both, left) == (3, 2), name


def test_a_scrape_that_comes_second_to_forget_the_dead_does_not_mind(tmp_path, monkeypatch):
    (tmp_path / "gauge_livemax_999999999.db").touch()
    forgotten = []

    def too_late(pid, path):
        forgotten.append(pid)
        Path(path, "gauge_livemax_999999999.db").unlink()
        raise FileNotFoundError

    monkeypatch.setattr(metrics, "mark_process_dead", too_late)
    assert exposition(tmp_path) == b""
    assert forgotten == [999_999_999]


def test_one_process_alone_shows_itself():
    usage = metrics.ProcessUsage("test/usage")
    usage.report()
    shown = {
        sample.name: sample.value
        for family in text_string_to_metric_families(exposition(None).decode())
        for sample in family.samples
        if sample.labels.get("agent_id") == "test/usage"
    }
    assert shown["cartrita_mcp_agent_memory_usage_bytes"] > 1_000_000
    assert shown["cartrita_mcp_agent_cpu_usage_percent"] >= 0


def test_the_content_type_is_that_of_the_text_format():
    assert CONTENT_TYPE.startswith("text/plain; version=")


def test_a_labelled_child_is_the_metric_s_own():
    for metric in (metrics.TASKS_STARTED, metrics.AGENT_HEALTH):
        values = [f"value of {name}" for name in metric._labelnames]
        assert metrics.labelled(metric, *values) is metric.labels(*values)
