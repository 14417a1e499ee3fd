"""Tests of how a task's events are told, by `cartrita tasks watch` and the part it is made of."""

import json

import pytest

from cartrita.cli import tasks
from cartrita.cli.narration import Narration
from cartrita.client import TaskEvent
from cartrita.clock import new_id
from tests.support.runtime import event

ID = "018bcfe5-6800-7000-8000-000000000001"
DONE = {"taskId": ID, "status": "COMPLETED", "result": {"n": 1}}


def told(capsys, *events):
    """Return what is printed, without the times."""
    narration = Narration()
    for place, (kind, data) in enumerate(events):
        narration.tell(TaskEvent.model_validate(event(ID, place, kind, data, attempt=2)))
    lines = capsys.readouterr().out.splitlines()
    return [line[14:] if line[2:3] == ":" else line for line in lines], narration.failed


def test_tokens_are_one_text_and_all_else_has_lines_of_its_own(capsys):
    lines, failed = told(
        capsys,
        ("started", None),
        ("token", {"text": "Hello "}),
        ("token", {"text": "[bold]you[/bold]"}),
        ("progress", {"fraction": 0.5, "text": "half"}),
        ("tool", {"name": "search", "input": {"q": 1}}),
        ("reset", None),
        ("completed", DONE),
    )
    assert lines[:6] == [
        "started",
        "Hello [bold]you[/bold]",
        "progress  50% half",
        "tool      name: search, input: {'q': 1}",
        "reset     attempt 2 begins: what was said before does not count",
        "completed",
    ]
    assert lines[6] == f"COMPLETED {ID}"
    assert not failed


@pytest.mark.parametrize("kind", ["failed", "cancelled", "timeout"])
def test_another_end_is_a_failure_whatever_it_says(capsys, kind):
    lines, failed = told(capsys, ("progress", {"fraction": None, "text": None}), (kind, "odd"))
    assert failed
    assert lines == ["progress", f"{kind:9} odd"]


def test_a_task_is_watched_to_its_end(here):
    task = here("run", "system.echo", "payload=7", "--async").stdout.strip()
    done = here("tasks", "watch", task)
    assert done.exit_code == 0
    kinds = [line.split()[1] for line in done.stdout.splitlines()[:4]]
    assert kinds == ["accepted", "queued", "started", "completed"]
    assert '"payload": 7' in done.stdout


def test_json_is_one_line_for_each_event(here):
    task = here("run", "test.unlucky", "--async").stdout.strip()
    done = here("tasks", "watch", task, "--json")
    assert done.exit_code == 1
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [item["type"] for item in events] == ["accepted", "queued", "started", "failed"]
    assert events[-1]["data"]["errorCode"] == "AGENT_ERROR"
    rest = here("tasks", "watch", task, "--json", "--after", events[1]["cursor"])
    assert [json.loads(line) for line in rest.stdout.splitlines()] == events[2:]


def test_a_task_of_nobody_exits_with_3(here):
    done = here("tasks", "watch", new_id())
    assert done.exit_code == 3


def test_an_interruption_leaves_the_task_alone(here, monkeypatch):
    class Interrupted:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def events(self, *_):
            raise KeyboardInterrupt

    monkeypatch.setattr(tasks, "connect", lambda _: Interrupted())
    assert here("tasks", "watch", ID).exit_code == 130
