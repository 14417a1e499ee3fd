"""The bridge's table against the list of all that v2 had and its clients called."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from serve_apps.bridge.table import load

LIST = Path(__file__).parents[1] / "support" / "v2_routes.txt"

AUTHS = {
    "-": {"nobody", "guest"},
    "J": {"user"},
    "F": {"flexible"},
    "K": {"key"},
    "A": {"admin"},
}
"""What the bridge calls v2's kinds of authorization. It may ask for more than v2 did."""

V3S = {"GET /metrics"}
"""What v3 answers on both ports, and the bridge does not."""

STRICTER = ("nobody", "guest", "key", "flexible", "user", "admin")


class Known(NamedTuple):
    """A route of v2."""

    route: str
    auth: str
    state: str
    where: str


@cache
def known():
    lines = LIST.read_text(encoding="utf-8").splitlines()
    found = [line.split() for line in lines if line and not line.startswith("#")]
    return [Known(f"{method} {path}", *rest) for method, path, *rest in found]


@cache
def table():
    return load()


def plain(route):
    """Return a route without the names of what stands in its path."""
    return re.sub(r"\{[^}]*\}", "{}", route).rstrip("/")


@pytest.fixture(scope="module")
def rows():
    return {plain(row.route): row for row in table().rows}


@pytest.fixture(scope="module")
def refused():
    return {plain(one.route): one for one in table().refused}


def test_the_list_names_each_route_once_and_says_what_it_was():
    routes = [plain(one.route) for one in known()]
    assert len(set(routes)) == len(routes) > 380
    assert {one.auth for one in known()} == set(AUTHS)
    assert {one.state for one in known()} == {"R", "M", "B", "absent"}
    assert {one.where for one in known()} == {
        "index", "server", "front", "readme", "rewrite", "v3", "unmounted",
    }  # fmt: skip


def test_each_route_of_v2_has_a_row_or_is_refused_for_a_reason(rows, refused):
    routes = {plain(one.route) for one in known()}
    assert sorted(routes - {*rows, *refused} - V3S) == []
    assert [one.route for one in refused.values() if len(one.why) < 20] == []


def test_a_row_asks_for_no_less_than_v2_did(rows):
    """Where it does, its note tells why."""
    laxer = [
        (row.route, row.auth, one.auth)
        for one in known()
        if (row := rows.get(plain(one.route))) and row.method != "socket"
        if STRICTER.index(row.auth) < min(STRICTER.index(auth) for auth in AUTHS[one.auth])
        if "token" not in row.note
    ]
    assert laxer == []


def test_no_row_is_unknown_to_v2_unless_it_says_so(rows):
    routes = {plain(one.route) for one in known()}
    unknown = {route: row for route, row in rows.items() if route not in routes}
    unmarked = [row.route for row in unknown.values() if row.seen != "absent" or not row.note]
    assert unmarked == []


def test_what_v2_had_not_is_marked(rows):
    wrong = [
        (one.route, rows[plain(one.route)].seen, one.state)
        for one in known()
        if plain(one.route) in rows
        and (rows[plain(one.route)].seen == "absent") is not (one.state == "absent")
        and one.where != "unmounted"
    ]
    assert wrong == []


def test_a_row_that_is_not_there_yet_names_its_team(rows):
    teams = {row.later for row in rows.values() if row.later}
    assert all(re.fullmatch("[A-Za-z -]{3,30}", team) for team in teams), teams


def test_what_v3_answers_instead_has_no_row(rows, refused):
    assert not {*rows, *refused} & V3S
