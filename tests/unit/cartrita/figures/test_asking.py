"""Tests of cartrita/figures/asking.py."""

import pytest

from cartrita.figures.asking import is_sql, understand

ROWS = [{"city": "Rome", "unit_price": 5.0, "amount": 2, 'odd "name"': 1}]


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        ("How many rows are there?", 'SELECT count(*) AS "rows" FROM "data"'),
        ("What is the total amount?", 'SELECT sum("amount") AS "sum_amount" FROM "data"'),
        (
            "average unit price per city",
            (
                'SELECT "city", avg("unit_price") AS "avg_unit_price" FROM "data" GROUP BY "city" '
                'ORDER BY "avg_unit_price" DESC, "city"'
            ),
        ),
        (
            "how many for each city",
            (
                'SELECT "city", count(*) AS "rows" FROM "data" GROUP BY "city" '
                'ORDER BY "rows" DESC, "city"'
            ),
        ),
        (
            "Show me the top 3 by unit_price",
            'SELECT * FROM "data" ORDER BY "unit_price" DESC NULLS LAST LIMIT 3',
        ),
        ("first 10 rows", 'SELECT * FROM "data" LIMIT 10'),
    ],
)
def test_a_simple_question_becomes_sql(question, sql):
    assert understand(question, "data", ROWS).sql == sql


@pytest.mark.parametrize(
    "question",
    [
        "Why did sales fall?",
        "total amount in Rome",
        "total city",
        "total amount by country",
        "average and total amount",
        "how many customers came back",
        "top 3 by city",
        "top 3 cities by amount",
        "amount",
        "",
    ],
)
def test_what_is_not_understood_wholly_is_not_answered(question):
    assert understand(question, "data", ROWS) is None


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("SELECT 1", True),
        ("  (select 1)", True),
        ("WITH a AS (SELECT 1) SELECT * FROM a", True),
        ("With which city do we earn most?", False),
        ("From where do orders come?", False),
        ("total amount", False),
    ],
)
def test_sql_is_told_from_questions(text, sql):
    assert is_sql(text) is sql
