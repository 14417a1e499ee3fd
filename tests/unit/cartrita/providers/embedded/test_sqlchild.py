"""Tests of cartrita/providers/embedded/sqlchild.py: what it does with one request.

Its limits act on the process and are tested in tests/integration/test_duck_limits.py.
"""

import json

import pytest

from cartrita.providers.embedded import sqlchild


@pytest.fixture(autouse=True)
def _no_limits(monkeypatch):
    monkeypatch.setattr(sqlchild, "_allow", lambda seconds: None)


def ask(sql, max_rows=10, **tables):
    request = {"sql": sql, "tables": tables, "max_rows": max_rows, "timeout": 5}
    return json.loads(sqlchild.answer(json.dumps(request).encode()))


def rows(sql, **tables):
    return ask(sql, **tables)["rows"]


SALES = [
    {"city": "Rome", "amount": 12.5, "day": "2026-01-02"},
    {"city": "Oslo", "amount": 30, "day": "2026-01-15"},
    {"city": "Rome", "amount": 7.5, "day": "2026-02-01"},
]


def test_rows_are_grouped_and_summed():
    found = ask(
        "SELECT city, sum(amount) AS total FROM sales GROUP BY city ORDER BY 1", sales=SALES
    )
    assert found == {
        "columns": ["city", "total"],
        "rows": [["Oslo", 30.0], ["Rome", 20.0]],
        "truncated": False,
    }


def test_dates_are_dates():
    sql = "SELECT month(day), count(*) FROM sales GROUP BY 1 ORDER BY 1"
    assert rows(sql, sales=SALES) == [[1, 2], [2, 1]]


def test_tables_are_joined():
    cities = [{"city": "Rome", "country": "IT"}, {"city": "Oslo", "country": "NO"}]
    sql = "SELECT country, max(amount) FROM sales JOIN cities USING (city) GROUP BY 1 ORDER BY 1"
    assert rows(sql, sales=SALES, cities=cities) == [["IT", 12.5], ["NO", 30.0]]


def test_missing_keys_are_null_and_nested_values_json():
    data = [{"id": 1, "tags": ["a", "b"]}, {"id": 2, "extra": {"k": None}}]
    assert rows("SELECT * FROM data ORDER BY id", data=data) == [
        [1, ["a", "b"], None],
        [2, None, {"k": None}],
    ]
    assert rows("SELECT tags->>0 FROM data WHERE id = 1", data=data) == [["a"]]


def test_names_that_need_quotes_are_columns_too():
    data = [{'odd "name"; DROP TABLE data': 1, "select": 2, "ümlaut x": 3}]
    sql = 'SELECT "odd ""name""; DROP TABLE data", "select", "ümlaut x" FROM data'
    assert rows(sql, data=data) == [[1, 2, 3]]


def test_every_kind_of_value_comes_back_as_json():
    sql = """
        SELECT 1.5, 2::HUGEINT * 4611686018427387904, 'nan'::DOUBLE, DATE '2026-01-02',
               TIME '03:04:05', TIMESTAMP '2026-01-02 03:04:05', 'ab'::BLOB,
               {'a': [1, NULL]}, MAP {'k': 1.25},
               '101'::BIT, NULL
    """
    assert rows(sql) == [
        [
            1.5,
            "9223372036854775808",
            None,
            "2026-01-02",
            "03:04:05",
            "2026-01-02T03:04:05",
            "YWI=",
            {"a": [1, None]},
            {"k": 1.25},
            "101",
            None,
        ]
    ]


def test_times_with_a_zone_and_intervals_are_text_with_order_and_names_kept():
    data = [{"t": "2026-01-02T03:04:05+02:00"}, {"t": "2026-01-01T00:00:00Z"}]
    found = ask("SELECT t, t, INTERVAL 3 MONTH AS i FROM data ORDER BY t -- end", data=data)
    assert found["columns"] == ["t", "t", "i"]
    assert found["rows"] == [
        ["2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.000000Z", "3 months"],
        ["2026-01-02T01:04:05.000000Z", "2026-01-02T01:04:05.000000Z", "3 months"],
    ]


@pytest.mark.parametrize(
    ("rows", "limit", "expected", "truncated"), [(5, 5, 5, False), (6, 5, 5, True)]
)
def test_rows_beyond_the_limit_are_cut_and_said_to_be(rows, limit, expected, truncated):
    found = ask(f"SELECT * FROM range({rows})", max_rows=limit)
    assert (len(found["rows"]), found["truncated"]) == (expected, truncated)


def test_an_answer_stops_before_it_grows_too_large(monkeypatch):
    monkeypatch.setattr(sqlchild, "LONGEST_ANSWER", 1000)
    found = ask("SELECT repeat('x', 100) FROM range(100)", max_rows=100)
    assert 5 < len(found["rows"]) < 10
    assert found["truncated"]
    assert ask("SELECT repeat('x', 2000)")["failed"] == "limit"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT nope FROM data", '"nope" not found'),
        ("SELECT 'a'::INT", "Could not convert"),
        ("SELECT sum(city) FROM data", "sum"),
        ("SELECT * FROM nope", "there is no table 'nope'"),
        ("SELEC 1", "line 1"),
        ("SELECT error('my own')", "my own"),
    ],
)
def test_what_is_wrong_with_a_query_is_said_in_the_engine_s_words(sql, message):
    found = ask(sql, data=SALES)
    assert found["failed"] == "sql"
    assert message in found["message"]


def test_the_engine_refuses_files_by_itself_even_if_the_guard_is_fooled(monkeypatch):
    monkeypatch.setattr(sqlchild, "checked", lambda sql, tables: sql)
    for sql in (
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/cartrita-escape'",
        "ATTACH '/tmp/cartrita-escape.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '9GB'",
    ):
        assert ask(sql)["failed"] == "sql", sql


def test_python_s_own_variables_are_no_tables(monkeypatch):
    monkeypatch.setattr(sqlchild, "checked", lambda sql, tables: sql)
    secrets = [{"key": "sk-secret"}]
    assert ask("SELECT * FROM secrets")["failed"] == "sql"
    assert secrets


def test_one_query_leaves_nothing_for_the_next():
    assert rows("SELECT count(*) FROM data", data=SALES) == [[3]]
    assert ask("SELECT count(*) FROM data")["failed"] == "sql"


def test_a_query_over_the_engine_s_memory_is_over_a_limit():
    found = ask("SELECT * FROM range(100000000) ORDER BY 1 DESC")
    assert found["failed"] == "limit"
