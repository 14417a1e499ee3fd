"""Tests of `cartrita bridge import-users` over a database."""

import asyncio
import json

import asyncpg
import pytest
from typer.testing import CliRunner

from cartrita.cli import app
from cartrita.config.names import every_setting

HASH = "$2b$12$" + "a" * 53
USERS = [
    {"id": 3, "name": "Ada", "email": "ada@example.org", "password_hash": HASH, "role": "admin"},
    {"id": 4, "name": "Eve", "email": "nobody", "password_hash": HASH},
    {"id": 5, "name": "Bob", "email": "bob@example.org", "password_hash": HASH},
]

pytestmark = pytest.mark.database


@pytest.fixture
def run(database_url, tmp_path, monkeypatch):
    """Run the command over a database, without a surrounding environment."""
    monkeypatch.chdir(tmp_path)
    for setting in every_setting().values():
        for name in (setting.variable, *setting.file_variables, *setting.aliases):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CARTRITA_CONFIG", raising=False)
    monkeypatch.setenv("CARTRITA_HOME", str(tmp_path / "home"))

    def command(source, *options, typed=None, place=("--set", f"postgres.url={database_url}")):
        head = [*place, "bridge", "import-users"]
        return CliRunner().invoke(app, [*head, str(source), *options], input=typed)

    return command


def test_accounts_are_taken_over_and_rows_left_out_are_named(run, tmp_path):
    dump = tmp_path / "users.json"
    dump.write_text(json.dumps(USERS))
    dry = run(dump, "--dry-run", "--json")
    assert (dry.exit_code, json.loads(dry.stdout)["added"]) == (1, 2)
    done = run(dump)
    assert done.exit_code == 1
    assert "3 rows: 2 added, 0 updated, 0 as they were, 1 left out." in done.stdout
    assert "here they are users: 3" in done.stdout
    assert "Row 2 (id '4'): 'email'" in done.stderr
    assert HASH not in done.output
    again = json.loads(run(dump, "--json").stdout)
    assert (again["added"], again["kept"], again["refused"]) == (0, 2, 1)


def test_the_table_of_a_running_v2_is_read(run, services):
    with services.fresh_database() as url:
        asyncio.run(_v2(url))
        done = run(url, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["added"] == 2


async def _v2(url):
    connection = await asyncpg.connect(url)
    await connection.execute(
        "DROP TABLE users CASCADE; CREATE TABLE users (id serial, name text, email text,"
        " password_hash text, role text, created_at timestamptz DEFAULT now())"
    )
    for name in ("ada", "bob"):
        await connection.execute(
            "INSERT INTO users (name, email, password_hash) VALUES ($1, $2, $3)",
            name,
            f"{name}@example.org",
            HASH,
        )
    await connection.close()


def test_what_cannot_be_read_is_told_in_one_line_without_the_password(run):
    away = run("postgresql://me:secret@127.0.0.1:1/v2")
    assert away.exit_code == 3
    assert "secret" not in away.output
    assert "Traceback" not in away.output
    assert "cannot be read" in run("nowhere.csv").stderr
    assert run("-", typed="not a dump\n").exit_code == 3


def test_without_a_database_it_says_what_to_start(run):
    away = run("-", typed="id,email\n", place=())
    assert away.exit_code == 3
    assert "cartrita up" in away.stderr
