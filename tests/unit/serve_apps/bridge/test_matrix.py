"""Tests of the lists in MIGRATION.md."""

from pathlib import Path

import pytest

from serve_apps.bridge.matrix import MARK, Line, generated, lines, main
from serve_apps.bridge.table import Refused, Row, Table

ROOT = Path(__file__).parents[4]
SUCCESSORS = {"/api/keys": "`/v3/keys`", "/api/keys/old": "nothing", "socket ping": "pings"}


def of(*rows, refused=()):
    return {line.route: line for line in lines(Table(rows, refused), SUCCESSORS)}


def page(route, **more):
    return Row(route=route, page="`1`", **more)


def test_what_is_different_from_v2_is_called_changed():
    found = of(page("GET /api/a"), page("GET /api/b", note="It is honest.", seen="M"))
    assert found["GET /api/a"] == Line("GET /api/a", "served", "", "", "")
    assert found["GET /api/b"].state == "changed"
    assert found["GET /api/b"].why == "It is honest. (V2 answered with constants.)"


def test_what_is_not_there_yet_names_the_team():
    line = of(Row(route="GET /api/a", later="multimodal", by=("front-end",)))["GET /api/a"]
    assert (line.state, line.by, line.why) == ("later", "front-end", "Needs the multimodal team.")


def test_what_is_refused_tells_why():
    gone = Refused(route="POST /api/door", status=404, why="It was a back door.")
    line = of(refused=[gone])["POST /api/door"]
    assert (line.state, line.why) == ("gone", "404: It was a back door.")


def test_a_way_in_that_is_no_route_is_told_in_its_own_words():
    gone = Refused(route="a token of `tests`", status=401, why="It let anybody in.")
    line = of(refused=[gone])["a token of `tests`"]
    assert line.group == "Ways in"
    assert str(line).startswith("| a token of `tests` | gone |")


def test_a_task_is_what_to_use_and_else_the_longest_path_counts():
    found = of(
        Row(route="POST /api/keys/run", task="system.echo", auth="guest"),
        page("GET /api/keys/{id}"),
        page("GET /api/keys/old"),
        page("GET /api/keyset"),
        Row(route="socket ping", page="`1`", tells="pong"),
    )
    assert found["POST /api/keys/run"].instead == "task `system.echo`"
    assert found["GET /api/keys/{id}"].instead == "`/v3/keys`"
    assert found["GET /api/keys/old"].instead == "nothing"
    assert found["GET /api/keyset"].instead == ""
    assert found["socket ping"].instead == "pings"


def test_sockets_come_first_and_then_paths_in_their_order():
    rows = (
        page("GET /api/b/x"),
        page("GET /api/a"),
        page("GET /health"),
        Row(route="socket x", page="`1`", tells="y"),
        page("DELETE /api/a"),
    )
    assert list(of(*rows)) == [
        "socket x", "DELETE /api/a", "GET /api/a", "GET /api/b/x", "GET /health",
    ]  # fmt: skip


def test_a_cell_cannot_break_its_table():
    line = of(page("GET /api/a", note="a | b\n c"))["GET /api/a"]
    assert r"a \| b c" in str(line)


def test_the_committed_page_is_current():
    written = (ROOT / "MIGRATION.md").read_text(encoding="utf-8")
    assert written.partition(MARK)[2] == generated().removeprefix(MARK)


def test_what_is_written_by_hand_stays(tmp_path, capsys):
    path = tmp_path / "MIGRATION.md"
    path.write_text("# By hand\n", encoding="utf-8")
    root = ["--root", str(tmp_path)]
    assert main([*root, "--check"]) == 1
    assert "not current" in capsys.readouterr().err
    assert main(root) == 0
    assert path.read_text(encoding="utf-8").startswith("# By hand\n" + MARK)
    assert main([*root, "--check"]) == 0


@pytest.mark.parametrize("state", ["served", "changed", "later", "gone"])
def test_every_state_is_explained(state):
    assert f"| {state} |" in generated()
