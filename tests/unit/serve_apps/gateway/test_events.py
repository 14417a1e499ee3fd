"""How events are written."""

import json

from hypothesis import given
from hypothesis import strategies as st

from serve_apps.gateway.events import frame
from tests.support.runtime import event

ID = "018bcfe5-6800-7000-8000-000000000001"
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values.filter(lambda value: "\ud800" not in str(value)))
def test_whatever_is_said_is_one_line_of_data(data):
    told = event(ID, 3, "token", data)

    written = frame(told).decode()

    head, name, line, *end = written.split("\n")
    assert (head, name, end) == ("id: 0000000000000003", "event: token", ["", ""])
    assert json.loads(line.removeprefix("data: ")) == told


def test_what_json_cannot_say_is_null():
    assert b'"data":null' in frame(event(ID, 0, "progress", float("nan")))
