"""Tests of parameters on the command line."""

import io

import pytest
import typer

from cartrita.cli.parameters import parameters_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n=5", 5),
        ("n=5.5", 5.5),
        ("n=true", True),
        ("n=null", None),
        ('n="5"', "5"),
        ("n=plain text", "plain text"),
        ("n=a=b", "a=b"),
        ("n=", ""),
        ("n=[1, 2]", [1, 2]),
        ('n="@home"', "@home"),
        ("n=NaN", "NaN"),
        ("n=-Infinity", "-Infinity"),
    ],
)
def test_a_value_is_json_where_it_is_json_and_text_elsewhere(text, value):
    assert parameters_of(None, [text]) == {"n": value}


def test_a_file_gives_its_text_and_a_json_file_its_value(tmp_path):
    (tmp_path / "story.txt").write_text("5")
    (tmp_path / "list.json").write_text("[5]")
    pairs = [f"text=@{tmp_path}/story.txt", f"list=@{tmp_path}/list.json"]
    assert parameters_of(None, pairs) == {"text": "5", "list": [5]}


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe"))
    assert parameters_of(None, ["text=@-"]) == {"text": "from a pipe"}


def test_pairs_go_over_the_document(tmp_path):
    (tmp_path / "all.json").write_text('{"a": 1, "b": 1}')
    assert parameters_of('{"a": 1, "b": 1}', ["b=2"]) == {"a": 1, "b": 2}
    assert parameters_of(f"@{tmp_path}/all.json", ["b=2"]) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("document", "pairs", "told"),
    [
        (None, ["payload"], "name=value"),
        (None, ["=1"], "name=value"),
        ("[]", [], "object"),
        ("{", [], "not JSON"),
        ('{"a": NaN}', [], "NaN"),
        (None, ["a=@/no/such/file"], "No such file"),
        (None, ["a=@/dev/null.json"], "Cannot read"),
    ],
)
def test_what_cannot_be_read_is_told(document, pairs, told):
    with pytest.raises(typer.BadParameter, match=told):
        parameters_of(document, pairs)


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "picture").write_bytes(b"\xff\xd8")
    with pytest.raises(typer.BadParameter, match="UTF-8"):
        parameters_of(None, [f"a=@{tmp_path}/picture"])
