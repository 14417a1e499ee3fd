"""Tests of cartrita/providers/embedded/sqlguard.py."""

import pytest

from cartrita.providers.embedded.sqlguard import LONGEST_SQL, RefusedError, checked

TABLES = ("data", "Orders")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "select * from data",
        'select * from "DATA" d join orders o using (id)',
        "FROM data SELECT a",
        "WITH x AS (SELECT a FROM data) SELECT * FROM x",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 9) FROM t",
        "SELECT a FROM data UNION ALL SELECT 2 ORDER BY 1",
        "(SELECT 1)",
        "SELECT * FROM (VALUES (1, 2)) AS v(a, b)",
        "SELECT * FROM range(10) AS t(i), unnest([1, 2]) AS u(x)",
        "SELECT * EXCLUDE (a) FROM data QUALIFY row_number() OVER (PARTITION BY b) = 1",
        "SELECT count(*) FILTER (WHERE a > 1) FROM data GROUP BY ALL",
        "SELECT list_transform([1], lambda x: x + 1)",
        "SELECT 'INSTALL httpfs; read_csv' AS text",
    ],
)
def test_one_select_over_known_tables_passes(sql):
    assert checked(sql, TABLES) == sql


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv"),
        ("SELECT * FROM read_text('/etc/passwd')", "read_text"),
        ("SELECT * FROM read_parquet('https://example.org/x.parquet')", "read_parquet"),
        ("SELECT * FROM parquet_scan('https://example.org/x.parquet')", "parquet_scan"),
        ("SELECT * FROM '/etc/passwd'", "/etc/passwd"),
        ('SELECT * FROM "/etc/passwd"', "/etc/passwd"),
        ("SELECT * FROM 'https://example.org/x.csv'", "https"),
        ("SELECT * FROM glob('*')", "glob"),
        ("SELECT * FROM query('SELECT 1')", "query"),
        ("SELECT * FROM query_table('data')", "query_table"),
        ("SELECT * FROM duckdb_settings()", "duckdb_settings"),
        ("SELECT * FROM duckdb_secrets()", "duckdb_secrets"),
        ("SELECT * FROM information_schema.tables", "information_schema"),
        ("SELECT * FROM pg_catalog.pg_class", "pg_catalog"),
        ("SELECT * FROM sqlite_master", "sqlite_master"),
        ("SELECT * FROM other", "'other'"),
        ("SELECT a FROM data WHERE a IN (SELECT b FROM other)", "'other'"),
        ("SELECT getenv('HOME')", "getenv"),
        ("SELECT GetEnv('HOME')", "getenv"),
        ("SELECT current_setting('secret_directory')", "current_setting"),
        ("SELECT getvariable('x')", "getvariable"),
        ("SELECT pg_sleep(100)", "pg_sleep"),
        ("SELECT sleep_ms(100000)", "sleep_ms"),
        ("SELECT nextval('s')", "nextval"),
        ("SELECT write_log('x')", "write_log"),
        ("COPY data TO '/tmp/x'", "COPY"),
        ("COPY (SELECT 1) TO '/tmp/x'", "COPY"),
        ("ATTACH '/tmp/x.db'", "ATTACH"),
        ("DETACH x", "SELECT"),
        ("INSTALL httpfs", "INSTALL"),
        ("LOAD httpfs", "SELECT"),
        ("PRAGMA database_list", "PRAGMA"),
        ("SET memory_limit = '9GB'", "SET"),
        ("RESET ALL", "SELECT"),
        ("EXPORT DATABASE 'x'", "line 1"),
        ("CREATE TABLE x AS SELECT 1", "CREATE"),
        ("INSERT INTO data VALUES (1)", "INSERT"),
        ("UPDATE data SET a = 1", "UPDATE"),
        ("DELETE FROM data", "DELETE"),
        ("DROP TABLE data", "DROP"),
        ("SELECT a INTO b FROM data", "SELECT"),
        ("CALL duckdb_settings()", "SELECT"),
        ("EXPLAIN SELECT 1", "SELECT"),
        ("DESCRIBE data", "DESCRIBE"),
        ("SUMMARIZE data", "SUMMARIZE"),
        ("SHOW TABLES", "SHOW"),
        ("VALUES (1, 2)", "VALUES"),
        ("CHECKPOINT", "SELECT"),
        ("BEGIN", "SELECT"),
        ("SELECT 1; SELECT 2", "not 2"),
        ("SELECT 1; DROP TABLE data", "not 2"),
        ("WITH x AS (INSERT INTO data VALUES (1)) SELECT 1", "SELECT"),
        ("", "not 0"),
        ("-- nothing", "not 0"),
        ("SELECT FROM WHERE", "line 1"),
        ("SELECT 'unclosed", "SQL"),
        ("SELECT " + "(" * 900 + "1" + ")" * 900, "deeply"),
        ("SELECT 1" + " " * LONGEST_SQL, "characters"),
    ],
)
def test_everything_else_is_refused_by_name(sql, why):
    with pytest.raises(RefusedError, match=why):
        checked(sql, TABLES)


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 1;", "SELECT 1"),
        ("SELECT 1 ; ; -- the end;", "SELECT 1 "),
        ("SELECT ';' AS a;", "SELECT ';' AS a"),
        ("SELECT 1 -- no ; here", "SELECT 1 -- no ; here"),
    ],
)
def test_the_semicolon_at_the_end_is_cut_off(sql, text):
    assert checked(sql, ()) == text
