"""Tests of the settings about a v2 that still runs."""

import pytest
from pydantic import ValidationError

from cartrita.config.settings import Settings


@pytest.mark.parametrize("told", [{"share": 0.5}, {"shadow": "safe"}])
def test_sharing_and_comparing_need_a_v2(told):
    with pytest.raises(ValidationError, match="need v2_url"):
        Settings.model_validate({"migration": told})
    chosen = Settings.model_validate({"migration": {**told, "v2_url": "http://old:8001"}})
    assert chosen.migration.v2_url == "http://old:8001"


def test_without_a_v2_the_bridge_answers_all():
    chosen = Settings().migration
    assert (chosen.v2_url, chosen.share, chosen.shadow) == (None, 1.0, "off")


@pytest.mark.parametrize("url", ["ftp://old", "old:8001", "file:///etc/passwd"])
def test_a_v2_is_reached_over_http(url):
    with pytest.raises(ValidationError):
        Settings.model_validate({"migration": {"v2_url": url}})
