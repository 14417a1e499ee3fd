"""Tests of the generated pages."""

from pathlib import Path

import pytest

from cartrita.config.load import load_settings
from cartrita.config.names import every_setting
from cartrita.config.reference import env_example, pages
from cartrita.config.settings import Settings

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("name", list(pages()))
def test_the_committed_page_is_the_generated_one(name):
    assert (ROOT / name).read_text(encoding="utf-8") == pages()[name]


@pytest.mark.parametrize("page", list(pages().values()))
def test_every_setting_is_on_every_page(page):
    assert [s.variable for s in every_setting().values() if s.variable not in page] == []


def test_the_example_says_nothing_but_the_defaults(tmp_path):
    lines = [line.removeprefix("# ") for line in env_example().splitlines()]
    assignments = [line for line in lines if line.startswith("CARTRITA_")]
    (tmp_path / ".env").write_text("\n".join(assignments))
    environ = {"HOME": str(Path.home()), "CARTRITA_CONFIG": "none.toml"}
    (tmp_path / "none.toml").touch()
    assert load_settings(environ=environ, cwd=tmp_path) == Settings()


def test_the_example_changes_nothing_as_it_is():
    assert all(line.startswith("#") for line in env_example().splitlines() if line)
