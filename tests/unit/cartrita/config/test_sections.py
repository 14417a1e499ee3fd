"""Tests of the single sections."""

import pytest

from cartrita.config.names import every_setting
from cartrita.config.sections import Server, Telemetry


@pytest.mark.parametrize("name", list(every_setting()))
def test_every_setting_is_documented(name):
    assert every_setting()[name].description.endswith(".")


def test_origins_are_split_at_commas():
    server = Server.model_validate({"cors_origins": "https://a.example, https://b.example,"})
    assert server.cors_origins == ("https://a.example", "https://b.example")


def test_a_log_level_may_be_written_in_capitals():
    assert Telemetry.model_validate({"log_level": "WARNING"}).log_level == "warning"
