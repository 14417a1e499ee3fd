"""Tests of `cartrita replay`, and of the short of it in `cartrita tasks show`."""

import asyncio
import json

import pytest

from cartrita.cli.storybook import print_story
from cartrita.clock import new_id
from cartrita.effects import State
from cartrita.journal import Event, EventKind
from cartrita.ledger import EffectRow
from cartrita.replay import Beside, retell
from tests.support.records import NOW, record


@pytest.fixture(scope="module")
def story_of():
    return {}


@pytest.fixture
def task_id(here, story_of):
    """Give a task that said, used and called everything there is."""
    if not story_of:
        done = here("run", "busy.work", "text=[bold]it[/]", "--json")
        story_of["task"] = json.loads(done.stdout)["taskId"]
    return story_of["task"]


def squeezed(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_story_is_told_whole(here, task_id):
    done = here("replay", task_id)
    assert done.exit_code == 0
    lines = squeezed(done.stdout)
    assert lines[0] == f"COMPLETED {task_id} busy.work"
    assert 'parameters {"text": "[bold]it[/]"}' in lines
    assert "budget $1 reserved · 1000 tokens reserved" in lines
    assert "costs $0.125 in all · $0.125 models · 15 tokens" in lines
    for title in ("Events", "Attempts", "Model calls", "Tool calls", "Sub-tasks"):
        assert title in lines
    assert "Effects" not in lines
    assert '"text": "[bold]it[/]"' in lines[lines.index("Sub-tasks") :]


def test_tokens_that_follow_each_other_are_one_line(here, task_id):
    lines = squeezed(here("replay", task_id).stdout)
    (tokens,) = [line for line in lines if " token " in f"{line} "]
    assert tokens.startswith("1.2")
    assert tokens.endswith("one two three")


def test_models_and_tools_are_told_with_what_they_took(here, task_id):
    lines = squeezed(here("replay", task_id).stdout)
    model = lines[lines.index("Model calls") + 2]
    assert model.endswith("model/a 500.0 ms 10 + 5 $0.125 $0.125")
    (tool,) = [line for line in lines if "calculator" in line]
    assert tool.endswith('calculator 250.0 ms {"expression": "6*7"} 42')
    assert any("system.echo" in line and "COMPLETED" in line for line in lines)


def test_it_is_told_as_it_stood_after_a_step(here, task_id):
    done = here("replay", task_id, "--until", "1.1")
    lines = squeezed(done.stdout)
    assert lines[0] == f"RUNNING {task_id} busy.work as of 1.1"
    assert not any(line.startswith("end ") for line in lines)
    whole = json.loads(here("replay", task_id, "--json").stdout)
    cursor = whole["events"][1]["cursor"]
    told = json.loads(here("replay", task_id, "--until", cursor, "--json").stdout)
    assert (told["status"], told["until"]) == ("PENDING", cursor)
    assert json.loads(here("replay", task_id, "--until", "end", "--json").stdout)["response"]


def test_what_is_no_step_is_told(here, task_id):
    done = here("replay", task_id, "--until", "later")
    assert done.exit_code == 3
    assert "until" in done.stderr


def test_a_task_of_nobody_exits_with_3(here):
    unknown = new_id()
    done = here("replay", unknown)
    assert done.exit_code == 3
    assert unknown in done.stderr


def test_show_tells_the_short_of_it(here, task_id):
    done = here("tasks", "show", task_id)
    assert done.exit_code == 0
    lines = squeezed(done.stdout)
    assert lines[0] == f"COMPLETED {task_id}"
    assert "busy.work" in lines
    assert "attempts 1 completed" in lines
    assert "costs $0.125 in all · $0.125 models · 15 tokens" in lines
    assert "sub-tasks 1 COMPLETED" in lines
    assert any(line.startswith("accepted 20") and "ended +" in line for line in lines)
    assert lines[-1].startswith("end ")
    assert "Model calls" not in lines


def test_show_tells_of_a_failure_and_of_what_waits(here):
    failed = json.loads(here("run", "test.unlucky", "--json").stdout)["taskId"]
    lines = squeezed(here("tasks", "show", failed).stdout)
    assert "error AGENT_ERROR · It could not be done." in lines
    waiting = here("run", "system.echo", "payload=1", "delayMs=9000", "--async").stdout.strip()
    (accepted,) = [x for x in squeezed(here("tasks", "show", waiting).stdout) if "deadline" in x]
    assert accepted.startswith("accepted 20")
    here("tasks", "cancel", waiting)


def test_of_a_task_whose_events_were_forgotten_show_tells_what_is_left(here, inside):
    done = json.loads(here("run", "busy.work", "--json").stdout)["taskId"]
    tables = inside.trees[-1].tables
    tables.remnants[done] = asyncio.run(tables.remnant(done))
    del tables.stories[done]
    shown = here("tasks", "show", done)
    assert shown.exit_code == 0
    assert "which is over" in shown.stdout
    assert "Last events" not in shown.stdout
    told = here("replay", done)
    assert told.exit_code == 3
    assert "was forgotten" in told.stderr


def test_effects_are_told_with_who_decided_about_them(capsys):
    task = record()
    accepted = Event(task.task_id, 0, EventKind.ACCEPTED, task.to_wire(), NOW, "system/0", 1)
    facts = (task.task_id, "test.echo", "ada", "ada", "email", "eve", 2)
    row = EffectRow("e", *facts, State.DONE, {"receipt": 7}, NOW + 1, NOW + 2, "probe")
    print_story(retell([accepted], Beside(effects=[row])))
    lines = squeezed(capsys.readouterr().out)
    assert lines[lines.index("Effects") + 2] == '2 +1.000 s email eve done {"receipt": 7} by probe'


def test_a_trace_draws_where_time_and_money_went(here, task_id):
    done = here("trace", task_id)
    assert done.exit_code == 0
    lines = squeezed(done.stdout)
    assert lines[0].startswith(f"COMPLETED {task_id} · trace ")
    assert lines[0].endswith("$0.125 · 15 tokens")
    names = [line.split()[0] for line in lines[2:] if line]
    assert names[:3] == ["busy.work", "queue", "attempt"]
    assert {"model/a", "calculator", "system.echo"} <= set(names)
    assert all("━" in line for line in lines[2:] if line)
    told = json.loads(here("trace", task_id, "--json").stdout)
    (model,) = [step for step in told["waterfall"] if step["kind"] == "model"]
    assert (model["name"], model["provider"], model["tokens"]) == ("model/a", "model", 15)
    assert told["waterfall"][0]["durationMs"] > 0
    assert told["totalUsd"] == sum(step["costUsd"] for step in told["steps"])
