"""Tests of `cartrita top`."""

import io
import json

import pytest
from rich.console import Console

from cartrita.cli import top
from cartrita.errors import AuthenticationFailed, NetworkFailed

TREE = {
    "buildId": "3.0+ab",
    "orchestrator": {"state": "up", "pid": 11, "node": "n1", "epoch": 2, "restarts": 1},
    "supervisors": [
        {
            "id": "intelligence/0", "state": "quarantined", "pid": 12, "node": "n1", "epoch": 3,
            "restarts": 0, "queueDepth": 7, "inFlight": 5, "capacity": 50,
            "hosts": [
                {"id": "intelligence/0.a", "state": "up", "pid": 13, "node": "n2", "restarts": 4,
                 "inFlight": 5, "agents": ["web", "chat"]},
                {"id": "intelligence/0.b", "state": "starting", "restarts": 0, "inFlight": 0},
            ],
        },
        {"id": "system/0", "state": "down", "hosts": []},
    ],
    "services": [{"name": "postgres", "state": "up", "pid": 14, "restarts": 0}],
}  # fmt: skip


def drawn(found, problem=None, **options):
    out = Console(file=io.StringIO(), width=200, **options)
    out.print(top.picture(found, problem))
    return out.file.getvalue()


def test_each_actor_is_a_row_of_a_tree():
    lines = [line.split() for line in drawn(TREE).splitlines()]
    assert " ".join(lines[0]) == (
        "1 of 2 supervisors up".replace("1", "0") + " · 5 running · 7 waiting · build 3.0+ab"
    )
    assert lines[1] == ["Name", *top.COLUMNS.values()]
    assert lines[2:] == [
        ["orchestrator", "up", "1", "2", "11", "n1"],
        ["├─", "intelligence/0", "quarantined", "7", "5/50", "0", "3", "12", "n1"],
        ["│", "├─", "intelligence/0.a", "up", "5", "4", "13", "n2", "web,", "chat"],
        ["│", "└─", "intelligence/0.b", "starting", "0", "0"],
        ["└─", "system/0", "down"],
        ["postgres", "up", "0", "14"],
    ]


def test_bad_states_stand_out():
    shown = drawn(TREE, color_system="standard", force_terminal=True)
    assert "\x1b[1;35mquarantined" in shown
    assert "\x1b[1;31mdown" in shown
    assert "\x1b[32mup" in shown


def test_columns_of_which_nothing_is_known_are_left_out():
    shown = drawn({"orchestrator": {"state": "up"}, "supervisors": []})
    assert shown.split("\n")[1].split() == ["Name", "State"]


def test_a_tree_that_cannot_be_had_is_told():
    assert drawn({}, "Nobody answers.").startswith("Nobody answers.\n0 of 0")


def test_one_look_is_printed(here):
    done = here("top", "--once")
    assert done.exit_code == 0
    for part in ("3 of 3 supervisors up", "orchestrator", "├─ intelligence/0", "system/0.shared.0"):
        assert part in done.stdout
    found = json.loads(here("top", "--once", "--json").stdout)
    assert found["supervisors"][0]["id"] == "intelligence/0"


@pytest.fixture
def looks(monkeypatch):
    """Count the pauses between the looks, and press Ctrl-C in the third."""
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(top.time, "sleep", pause)
    return pauses


def test_it_looks_again_until_it_is_interrupted(here, looks):
    done = here("top", "--interval", "0.5")
    assert done.exit_code == 0
    assert looks == [0.5] * 3
    assert done.stdout.count("supervisors up") == 3


def test_json_is_one_line_for_each_look(here, looks):
    lines = here("top", "--json").stdout.splitlines()
    assert [json.loads(line)["orchestrator"]["state"] for line in lines] == ["up"] * 3


class Trees:
    """A client that gives what it was told to give."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def tree(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_while_nobody_answers_the_last_picture_stays(looks):
    out = Console(file=io.StringIO(), width=200, force_terminal=True, legacy_windows=False)
    trees = Trees(TREE, NetworkFailed("Nobody answers."), TREE)
    with pytest.raises(KeyboardInterrupt):
        top._live(trees, 1.0, out)
    _, first, second, third = out.file.getvalue().split("supervisors up")
    assert "Nobody answers." in first
    assert "Nobody answers." not in second
    assert all("intelligence/0.b" in picture for picture in (first, second, third))


def test_what_will_not_pass_ends_it(looks):
    with pytest.raises(AuthenticationFailed):
        top._live(Trees(AuthenticationFailed("No.")), 1.0, Console(file=io.StringIO()))
