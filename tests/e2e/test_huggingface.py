"""A model from a folder, in an instance as users have it: one host has torch, no other has."""

import psutil
import pytest

from tests.support.instance import run_task
from tests.support.tiny_sorter import write

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.timeout(400)]

pytest.importorskip("transformers", reason="make dev installs it")


def with_torch(pid: int) -> bool:
    """Tell whether a process has torch's library in its memory."""
    return any("libtorch" in part.path for part in psutil.Process(pid).memory_maps())


def test_a_model_from_a_folder_runs_in_a_host_of_its_own(instance):
    write(instance.home / "models/sorter")
    client = instance.login()
    asked = {"text": "good news", "model": "sorter"}
    answer = run_task(client, "huggingface.text.classification", asked, timeout=55_000)
    assert answer["status"] == "COMPLETED", answer
    assert {one["label"] for one in answer["result"]["labels"]} == {"NEGATIVE", "POSITIVE"}
    assert (answer["result"]["model"], answer["result"]["provider"]) == ("sorter", "huggingface")
    assert answer["metrics"]["costUsd"] == 0.001
    tree = client.get("/v3/tree").json()
    hosts = [host for row in tree["supervisors"] for host in row["hosts"] if host["pid"]]
    assert {host["agents"][0] for host in hosts if with_torch(host["pid"])} == {"huggingface"}


def test_a_path_is_no_model(instance):
    asked = {"text": "good news", "model": str(instance.home / "models/sorter")}
    answer = run_task(instance.login(), "huggingface.text.classification", asked)
    assert (answer["status"], answer["reason"]) == ("FAILED", "MODEL_REQUIRED")
