"""The table, and what is wrong with it when it is."""

import pytest

from cartrita.errors import ConfigurationInvalid
from serve_apps.bridge.table import Refused, Row, Table, load


def table(*routes, refused=()):
    return Table([Row(route=route, page="now") for route in routes], refused)


def written(tmp_path, text):
    (tmp_path / "some.toml").write_text(text)
    return load(tmp_path)


def wrong(tmp_path, text):
    with pytest.raises(ConfigurationInvalid) as caught:
        written(tmp_path, text)
    return caught.value.message


def test_every_row_that_we_ship_is_right():
    assert len(load().rows) > 5


def test_finds_a_row_by_its_path_and_reads_the_places_in_it():
    found = table("GET /api/a/{id}/b/{name}").find("GET", "/api/a/7/b/x y/")
    assert found is not None
    assert found[1] == {"id": "7", "name": "x y"}


def test_what_is_written_out_goes_before_what_takes_anything():
    rows = table("GET /api/a/{id}", "GET /api/a/list", "GET /api/{any}/list/x")
    assert rows.find("GET", "/api/a/list")[0].row.path == "/api/a/list"
    assert rows.find("GET", "/api/a/other")[1] == {"id": "other"}
    assert rows.find("GET", "/api/a/list/x")[1] == {"any": "a"}
    assert rows.find("POST", "/api/a/list") is None
    assert rows.find("GET", "/api/a/list/y") is None


def test_capitals_are_as_good_as_small_letters_and_stay_in_places():
    rows = table("GET /api/a/list", "GET /api/Agents/{agentName}/x")
    assert rows.find("GET", "/API/a/List/")[0].row.path == "/api/a/list"
    assert rows.find("GET", "/api/agents/Ada/X")[1] == {"agentName": "Ada"}
    with pytest.raises(ConfigurationInvalid, match="Two rows"):
        table("GET /api/a", "GET /api/A")


def test_a_piece_that_looks_like_a_place_is_a_piece():
    rows = table("GET /api/a/{id}")
    assert rows.find("GET", "/api/a/{}")[1] == {"id": "{}"}


def test_events_of_sockets_are_known_as_they_are_written():
    row = Row(route="socket sendMessage", page="now", tells="told")
    assert list(Table([row]).events) == ["sendMessage"]


def test_two_rows_cannot_have_one_route():
    with pytest.raises(ConfigurationInvalid, match="Two rows"):
        table("GET /api/a/{id}", "GET /api/a/{name}")


def test_a_wrong_row_is_named_by_file_route_and_field(tmp_path):
    text = '[[row]]\nroute = "GET /api/x"\npage = "a["\n'
    assert wrong(tmp_path, text).startswith("some.toml: GET /api/x: page: is not JMESPath")
    text = '[[row]]\nroute = "GET /api/x"\npage = "nonsense(a)"\n'
    assert "GET /api/x: page: calls nonsense()" in wrong(tmp_path, text)
    text = '[[row]]\nroute = "GET /api/x"\npage = "a"\ncolour = "red"\n'
    assert "GET /api/x: colour:" in wrong(tmp_path, text)
    text = '[[row]]\nroute = "GET /api/x"\npage = "a"\n[[row]]\nroute = "GET /api/y"\n'
    assert "GET /api/y: row: needs one of" in wrong(tmp_path, text)
    assert "some.toml" in wrong(tmp_path, "[[row")


def test_a_row_names_a_service_that_exists(tmp_path):
    text = '[[row]]\nroute = "GET /api/x"\nservice = "{}"\n'
    assert written(tmp_path, text.format("health.root")).find("GET", "/api/x")[0].service
    for name in ("health.nothing", "nowhere.root", "health.shards_of_x"):
        assert "GET /api/x: service: there is no" in wrong(tmp_path, text.format(name))


def test_a_task_needs_somebody_who_asks_for_it(tmp_path):
    text = '[[row]]\nroute = "GET /api/x"\ntask = "system.echo"\n'
    assert "give `auth`" in wrong(tmp_path, text)


def test_what_is_refused_has_no_row_or_one_that_wants_a_token():
    gone = Refused(route="POST /api/x", status=404, why="it was a back door")
    closed = Refused(route="POST /api/x", status=401, why="anybody could")
    open_row = Row(route="POST /api/x", page="now")
    assert Table([], [gone]).find("POST", "/api/x") is None
    assert Table([open_row.model_copy(update={"auth": "user"})], [closed]).refused == (closed,)
    for rows, one in (([open_row], gone), ([open_row], closed), ([], closed)):
        with pytest.raises(ConfigurationInvalid, match="refused"):
            Table(rows, [one])


def test_a_row_that_reads_the_name_needs_the_account():
    rows = [
        Row(route="GET /api/a", page="{n: user.name}"),
        Row(route="GET /api/b", page="user.id"),
        Row(route="GET /api/c", page="{name: body.name, user: user}"),
    ]
    found = Table(rows)
    assert [found.find("GET", row.path)[0].account for row in rows] == [True, False, False]


def test_only_a_row_that_reads_the_time_is_told_it():
    rows = [
        Row(route="GET /api/a", page="{at: now}"),
        Row(route="GET /api/b", page="user.id"),
        Row(route="socket c", page="user.id", begins={"event": "d", "data": "now"}, tells="e"),
    ]
    found = Table(rows)
    assert [found.find(row.method, row.path)[0].timed for row in rows] == [True, False, True]
