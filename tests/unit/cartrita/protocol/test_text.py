"""Tests of cartrita/protocol/text.py."""

from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from cartrita.protocol.text import Prose, Storable, StorableProse
from cartrita.protocol.wire import WireModel


class Sample(WireModel):
    prose: Annotated[Prose, Field(max_length=20)] = "x"
    storable: Storable = ""
    both: StorableProse = "x"


def test_prose_is_kept_as_it_is():
    assert Sample(prose="  a\n").prose == "  a\n"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("prose", " \n\t", "blank"),
        ("prose", "x" * 21, "at most 20"),
        ("storable", "a\x00b", "NUL"),
        ("both", "a\x00b", "NUL"),
        ("both", " ", "blank"),
        ("prose", "\ud800", "surrogates"),
        ("storable", "\ud800", "surrogates"),
    ],
)
def test_says_what_is_wrong_with_a_text(field, value, message):
    with pytest.raises(ValidationError, match=message):
        Sample.model_validate({field: value})


def test_the_length_is_in_the_json_schema():
    assert Sample.model_json_schema()["properties"]["prose"]["maxLength"] == 20
