"""JSON and MessagePack, read strictly."""

import json
from uuid import UUID

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, JsonValue

from cartrita.errors import InvalidMessage, InvalidParameters
from cartrita.protocol.task import TaskRequest
from cartrita.protocol.wire import WireModel
from serve_apps.asgi.strict import LEAST, MANY, MOST, Packed, parse


class Order(WireModel):
    item_count: int = 1
    price: float = Field(default=1.0)
    notes: JsonValue = None


def said(body, error):
    with pytest.raises(error) as caught:
        parse(Order, body)
    return caught.value


def test_reads_a_body_into_a_model():
    order = parse(Order, b' {"itemCount": 2, "price": 0.5, "notes": {"a": [1, "x"]}}\n')

    assert order == Order(item_count=2, price=0.5, notes={"a": [1, "x"]})


@pytest.mark.parametrize("body", [b"", b"{", b"[1,]", b"\xff", b"\xef\xbb\xbf{}", b'{"a":1} x'])
def test_refuses_what_is_not_json(body):
    assert "not JSON" in said(body, InvalidMessage).message


@pytest.mark.parametrize("name", [b"NaN", b"Infinity", b"-Infinity"])
def test_refuses_numbers_that_are_none(name):
    assert name.decode() in said(b'{"notes":[%s]}' % name, InvalidMessage).message


def test_the_names_of_numbers_may_stand_in_texts():
    assert parse(Order, b'{"notes":"NaN, Infinity"}').notes == "NaN, Infinity"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"price":1,"price":2}', "price"),
        (b'{"notes":{"a":1,"b":2,"a":1}}', "a"),
        (b'{"notes":[[{"a":1,"\\u0061":2}]]}', "a"),
    ],
)
def test_refuses_a_name_twice_in_one_object(body, name):
    assert said(body, InvalidMessage).fields == ((name, "appears twice"),)


def test_objects_side_by_side_may_have_the_same_names():
    assert parse(Order, b'{"notes":[{"a":1},{"a":2},{"b":{"a":3}}]}')


@pytest.mark.parametrize("number", [LEAST, MOST, 0, -1, 10**18, -(10**18)])
def test_takes_what_fits_64_bits(number):
    assert parse(Order, b'{"notes":%d}' % number).notes == number


@pytest.mark.parametrize("number", [LEAST - 1, MOST + 1, 10**19 * 2, -(10**400), 10**4000])
def test_names_what_does_not_fit_64_bits(number):
    error = said(b'{"notes":{"a":[0,%d]},"price":1}' % number, InvalidParameters)

    assert error.fields == (("notes.a.1", "is beyond 64 bits"),)


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" * 400 + b".0", b"1E+0400"])
def test_names_what_does_not_fit_double_precision(number):
    error = said(b'{"notes":[%s]}' % number, InvalidParameters)

    assert error.fields == (("notes.0", "is beyond double precision"),)


@pytest.mark.parametrize("number", [b"1e308", b"1e-999", b"-0.0", b"0.1e5"])
def test_takes_what_fits_double_precision(number):
    assert parse(Order, b'{"notes":%s}' % number).notes == float(number)


def test_names_every_field_as_the_client_wrote_it():
    error = said(b'{"item_count":"x","price":true,"other":1}', InvalidParameters)

    assert {field.field for field in error.fields} == {"item_count", "price", "other"}
    assert "item_count" in error.message


def test_counts_the_wrong_fields_when_there_are_too_many_to_list():
    body = json.dumps(dict.fromkeys(map(str, range(MANY + 1)), 1)).encode()

    error = said(body, InvalidParameters)

    assert error.fields == (("body", "is wrong in 101 places"),)


def test_refuses_what_is_too_deep_for_anybody_behind_us():
    assert parse(Order, b'{"notes":' + b"[" * 190 + b"]" * 190 + b"}")
    assert "recursion" in said(b'{"notes":' + b"[" * 10_000, InvalidMessage).message


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(LEAST, MOST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@given(values, st.booleans())
def test_all_proper_json_comes_through_unchanged(value, ascii_only):
    try:
        body = json.dumps({"notes": value}, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return

    assert parse(Order, body).notes == value


class TestMessagePack:
    """The same limits as JSON's, and bytes where they are taken."""

    def test_it_reads_as_json_does(self):
        value = {"task_type": "a", "parameters": {"x": [1, 2.5, None]}, "taskId": str(UUID(int=7))}
        assert parse(TaskRequest, Packed(msgpack.packb(value))) == parse(
            TaskRequest, json.dumps(value).encode()
        )

    def test_bytes_stay_bytes_in_parameters(self):
        value = {"taskType": "a", "parameters": {"audio": [b"\xff\x00"], "text": "t"}}
        assert parse(TaskRequest, Packed(msgpack.packb(value))).parameters == value["parameters"]

    @pytest.mark.parametrize(
        ("value", "field"),
        [
            ({"taskType": b"a", "parameters": {}}, "taskType"),
            ({"taskType": "a", "parameters": {}, "metadata": {"k": b"v"}}, "metadata"),
            ({"taskType": "a", "parameters": [b"x"]}, "parameters"),
            ({"taskType": "a", "parameters": {}, "priority": "5"}, "priority"),
            ({"taskType": "a", "parameters": {}, "other": 1}, "other"),
        ],
    )
    def test_a_wrong_field_is_named(self, value, field):
        with pytest.raises(InvalidParameters) as caught:
            parse(TaskRequest, Packed(msgpack.packb(value)))
        assert [error.field for error in caught.value.fields] == [field]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xc1",
            b"\x81\xa1a",
            msgpack.packb({"taskType": "a"}) + b"\x01",
            msgpack.packb({"taskType": "a", "parameters": {"x": float("nan")}}),
            msgpack.packb({"taskType": "a", "parameters": {"x": msgpack.ExtType(4, b"x")}}),
            msgpack.packb({"taskType": "a", "parameters": {"x": msgpack.Timestamp(1)}}),
            msgpack.packb({"taskType": "a", "parameters": {1: 2}}),
            b"\x82\xa1a\x01\xa1a\x02",
            b"\x81\xa1a\xa1\xff",
            b"\x82\xa8taskType\xa1a\xaaparameters" + b"\x81\xa1x" * 300 + b"\xc0",
            b"\x91" * 5000 + b"\xc0",
        ],
    )
    def test_what_json_would_not_be_is_refused(self, body):
        with pytest.raises(InvalidMessage):
            parse(TaskRequest, Packed(body))
