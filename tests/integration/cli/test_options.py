"""Tests of the options before the command."""

import pytest
import typer

from cartrita.cli.options import Options


def test_assignments_are_settings_by_their_dotted_names():
    options = Options.of(None, None, ["server.port=9", "models.chat_model=a=b"])
    assert options.overrides == {"server.port": "9", "models.chat_model": "a=b"}


def test_the_home_is_a_setting_too():
    assert Options.of("/x", "http://h", []) == Options("http://h", {"home": "/x"})


def test_an_assignment_without_a_value_is_told():
    with pytest.raises(typer.BadParameter, match=r"section\.field=value"):
        Options.of(None, None, ["server.port"])
