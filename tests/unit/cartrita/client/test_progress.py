"""Tests of the bars that show how far tasks are."""

import io

import pytest
from rich.console import Console

from cartrita.client.models import TaskEvent
from cartrita.client.progress import Bars
from cartrita.clock import new_id
from tests.support.runtime import event

TASK = new_id()


def told(place, kind, data=None):
    return TaskEvent.model_validate(event(TASK, place, kind, data))


@pytest.fixture
def console():
    return Console(file=io.StringIO(), force_terminal=True, width=120)


def test_a_bar_follows_the_fractions_of_its_task(console):
    bars = Bars(console)
    with bars.one("system.echo") as bar:
        (shown,) = bars._shown.tasks
        bar.show(told(1, "started"))
        assert (shown.total, shown.fields["said"]) == (None, "started")
        bar.show(told(2, "progress", {"fraction": 0.25, "text": "reads [bold]"}))
        assert (shown.percentage, shown.fields["said"]) == (25.0, "reads [bold]")
        bar.show(told(3, "token", {"text": "x"}))
        assert shown.fields["said"] == "reads [bold]"
        bar.show(told(4, "reset"))
        assert shown.percentage == 0.0
        bar.show(told(5, "completed", {"taskId": TASK}))
        assert shown.percentage == 100.0
    assert "reads [bold]" in console.file.getvalue() or "completed" in console.file.getvalue()
    assert "system.echo" in console.file.getvalue()


def test_bars_stand_together_until_the_last_has_ended(console):
    bars = Bars(console)
    with bars:
        for name in ("one", "two"):
            with bars.one(name):
                assert bars._shown.live.is_started
        assert bars._shown.live.is_started
    assert not bars._shown.live.is_started
    assert [task.description for task in bars._shown.tasks] == ["one", "two"]


def test_a_pipe_is_not_filled_with_control_codes():
    pipe = Console(file=io.StringIO(), force_terminal=False, width=120)
    with Bars(pipe).one("quiet") as bar:
        bar.show(told(1, "progress", {"fraction": 0.5, "text": None}))
    assert "\x1b" not in pipe.file.getvalue()
