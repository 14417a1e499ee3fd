"""Tests of the kinds of value a setting can have."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from cartrita.config.kinds import HttpUrl, Names, Places, RedisUrl


def test_another_users_home_is_an_ordinary_name():
    places = Places(Path("/here"), Path("/home/ada"))
    assert places.resolve(Path("~bob/x")) == Path("/here/~bob/x")
    assert places.resolve(Path("~")) == Path("/home/ada")
    assert places.resolve(Path("/etc/x")) == Path("/etc/x")


@pytest.mark.parametrize("value", [["a,b"], ["a b"], [""], "a b"])
def test_a_list_holds_nothing_that_its_text_form_could_not(value):
    with pytest.raises(ValidationError):
        TypeAdapter(Names).validate_python(value)


@pytest.mark.parametrize(("kind", "url"), [(HttpUrl, "ftp://x"), (RedisUrl, "http://x")])
def test_a_url_of_another_scheme_is_refused(kind, url):
    with pytest.raises(ValidationError, match="must begin with"):
        TypeAdapter(kind).validate_python(url)
