"""Tests of `python -m cartrita.config`."""

from cartrita.config.__main__ import main
from cartrita.config.reference import pages


def test_a_check_fails_until_the_pages_are_written(tmp_path, capsys):
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert "settings.md is not current" in capsys.readouterr().err
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0
    assert (tmp_path / ".env.example").read_text(encoding="utf-8") == pages()[".env.example"]


def test_a_changed_page_fails_the_check(tmp_path, capsys):
    main(["--root", str(tmp_path)])
    (tmp_path / ".env.example").write_text("by hand")
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert ".env.example" in capsys.readouterr().err
