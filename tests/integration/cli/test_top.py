"""Tests of `cartrita top`."""

import io
import json

import pytest
from rich.console import Console

from cartrita.cli import top
from cartrita.cli.top_picture import COLUMNS, TEAM_COLUMNS, Order
from cartrita.errors import AuthenticationFailed, NetworkFailed

MB = 1 << 20


def sums(ended=0, failed=0, usd=0.0, seconds=(), batches=0, entries=0):
    """Return what a supervisor tells of its past."""
    counts = {"accepted": 0, "completed": ended - failed, "failed": failed, "cancelled": 0}
    pace = {**counts, "costUsd": usd, "tokens": 0, "seconds": list(seconds)}
    journal = {"batches": batches, "seconds": batches / 100, "entries": entries, "waiting": 1}
    return {"pace": pace, "journal": journal}


def tree(**of_intelligence):
    return {
        "buildId": "3.0+ab",
        "orchestrator": {"state": "up", "pid": 11, "node": "n1", "epoch": 2, "restarts": 1},
        "supervisors": [
            {
                "id": "intelligence/0", "state": "quarantined", "pid": 12, "node": "n1",
                "epoch": 3, "restarts": 0, "queueDepth": 7, "inFlight": 5, "capacity": 50,
                "hosts": [
                    {"id": "intelligence/0.a", "state": "up", "pid": 13, "node": "n2",
                     "restarts": 4, "inFlight": 1, "memoryBytes": 60 * MB, "agents": ["chat"],
                     "pool": {"least": 1, "most": 4}},
                    {"id": "intelligence/0.b", "state": "starting", "restarts": 0, "inFlight": 4},
                ],
                **of_intelligence,
            },
            {"id": "system/0", "state": "down", "hosts": []},
        ],
        "services": [{"name": "postgres", "state": "up", "pid": 14, "restarts": 0}],
    }  # fmt: skip


TREE = tree()


def drawn(found, problem=None, *, width=200, sort=Order.NAME, teams=(), **options):
    out = Console(file=io.StringIO(), width=width, **options)
    out.print(top.picture(top.Look(found, list(teams), problem), sort))
    return out.file.getvalue()


def test_each_process_is_a_row_of_a_tree():
    lines = [line.split() for line in drawn(TREE).splitlines()]
    assert " ".join(lines[0]) == ("0 of 2 supervisors up · 5 running · 7 waiting · build 3.0+ab")
    assert lines[1] == ["Name", *COLUMNS.values()]
    assert lines[2:] == [
        ["orchestrator", "up", "1", "2", "11", "n1"],
        ["├─", "intelligence/0", "quarantined", "7", "5/50", "0", "3", "12", "n1"],
        ["│", "├─", "intelligence/0.a", "up", "1", "1-4", "60", "MB", "4", "13", "n2", "chat"],
        ["│", "└─", "intelligence/0.b", "starting", "4", "0"],
        ["└─", "system/0", "down"],
        ["postgres", "up", "0", "14"],
    ]


def test_teams_have_rates_from_the_second_look_on():
    before = tree(**sums(10, 1, 0.5, [[0.01, 10]], batches=2, entries=8))
    after = tree(**sums(30, 3, 0.75, [[0.01, 28], [0.2, 2]], batches=6, entries=20))
    first, second = (top.teams(after, one, 2.0) for one in ({}, before))

    assert [row["name"] for row in first] == ["intelligence", "system", "all"]
    assert first[0]["tasksPerSecond"] is None
    told = second[0]
    assert (told["tasksPerSecond"], told["failedPerSecond"]) == (10.0, 1.0)
    assert told["p95Ms"] == 200.0
    assert told["usdPerHour"] == 450.0
    assert (told["journalBatch"], told["journalMs"]) == (3.0, 10.0)
    assert second[1]["tasksPerSecond"] is None, "it is down"
    assert second[2]["tasksPerSecond"] == 10.0
    shown = drawn(after, teams=second).splitlines()
    assert shown[1].split() == ["Team", *TEAM_COLUMNS.values()]
    assert shown[2].split()[:7] == ["intelligence", "quarantined", "10", "1", "200", "ms", "7"]


def test_a_supervisor_that_started_anew_has_no_rates_yet():
    before, after = tree(**sums(10)), tree(**sums(2), epoch=4)
    assert top.teams(after, before, 1.0)[0]["tasksPerSecond"] is None


def test_a_small_terminal_shows_fewer_columns_and_breaks_no_line():
    after = tree(**sums(30, batches=6))
    teams = top.teams(after, tree(**sums(10)), 2.0)
    for width in (60, 40):
        lines = drawn(after, teams=teams, width=width).splitlines()
        assert len(lines) == 1 + 4 + 7, lines
        assert lines[1].split()[:3] == ["Team", "State", "Tasks/s"]
        assert "intelligence/0.b" in "".join(lines)


def test_the_most_stands_first_and_the_sum_last():
    after = tree(**sums(30))
    after["supervisors"].append({"id": "multimodal/0", "state": "up", "queueDepth": 9})
    teams = top.teams(after, {}, 1.0)
    waiting = drawn(after, teams=teams, sort=Order.WAITING).splitlines()
    assert [line.split()[0] for line in waiting[2:6]] == [
        "multimodal", "intelligence", "system", "all",
    ]  # fmt: skip
    running = drawn(after, sort=Order.RUNNING)
    assert running.index("intelligence/0.b") < running.index("intelligence/0.a")


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


def test_once_is_two_looks_and_one_picture(here):
    done = here("top", "--once", "--interval", "0.1")
    assert done.exit_code == 0
    for part in ("3 of 3 supervisors up", "orchestrator", "├─ intelligence/0", "system/0.shared.0"):
        assert part in done.stdout
    assert done.stdout.count("supervisors up") == 1
    found = json.loads(here("top", "--once", "--json", "--interval", "0.1").stdout)
    assert found["supervisors"][0]["id"] == "intelligence/0"
    names = [row["name"] for row in found["teams"]]
    assert names == ["intelligence", "multimodal", "system", "all"]
    assert found["teams"][-1]["failedPerSecond"] == 0.0
    assert found["teams"][-1]["memoryBytes"] > MB


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
