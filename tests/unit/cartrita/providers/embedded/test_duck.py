"""Tests of cartrita/providers/embedded/duck.py: what never reaches an engine.

What does is tested in tests/integration/test_duck.py.
"""

import pytest

from cartrita.errors import InvalidParameters
from cartrita.providers.embedded.duck import MOST_COLUMNS, MOST_ROWS, MOST_TABLES, DuckDb


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        ({}, "1 to 20 tables"),
        ({f"t{n}": [{"a": 1}] for n in range(MOST_TABLES + 1)}, "not 21"),
        ({"a": [{"x": 1}] * MOST_ROWS, "b": [{"x": 1}]}, "100001 rows"),
        ({"data": []}, "0 columns"),
        ({"data": [{}]}, "0 columns"),
        ({"data": [{f"c{n}": 1 for n in range(MOST_COLUMNS + 1)}]}, "201 columns"),
        ({"data": [{"a": 1}, {"A": 1}]}, "SQL ignores case"),
        ({"data": [{" ": 1}]}, "empty"),
        ({"data": [{"a\x00": 1}]}, "column of 'data'"),
        ({"data": [{"a" * 64: 1}]}, "longer than 63"),
        ({"data": [{"a": 1}], "DATA": [{"a": 1}]}, "two tables"),
        ({"a b": [{"a": 1}]}, "no table name"),
        ({'a"; DROP': [{"a": 1}]}, "no table name"),
        ({"a" * 64: [{"a": 1}]}, "no table name"),
    ],
)
async def test_data_out_of_bounds_is_refused_by_name_before_anything_runs(tables, why):
    with pytest.raises(InvalidParameters, match=why) as caught:
        await DuckDb().query("SELECT 1", tables, max_rows=1, timeout=1)
    assert caught.value.fields[0].field == "data"
