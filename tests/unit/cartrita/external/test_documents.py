"""JSON Schemas that somebody else wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.errors import InvalidParameters
from cartrita.external.documents import DEEPEST, LARGEST, MOST_PROBLEMS, Document, params_of


def an_object(**properties):
    return {"type": "object", "properties": properties}


def nested(levels):
    schema = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "'type': 'object'"),
        ({"type": "string"}, "'type': 'object'"),
        (an_object(a={"type": "text"}), "no JSON Schema"),
        (an_object(a={"minimum": "one"}), "no JSON Schema"),
        (an_object(a={"$ref": "https://example.org/schema"}), "leads to"),
        (an_object(a={"$ref": "file:///etc/passwd"}), "leads to"),
        (an_object(a={"$ref": "#"}), "leads to"),
        (an_object(a={"$ref": "#/$defs/missing"}), "there is no"),
        (an_object(a={"$id": "https://example.org/"}), "'$id'"),
        (an_object(a={"$dynamicRef": "#x"}), "'$dynamicRef'"),
        ({**an_object(), "$schema": "http://json-schema.org/draft-07/schema#"}, "$schema"),
        (an_object(a=nested(DEEPEST)), "levels"),
        (an_object(a={"const": "x" * LARGEST}), "bytes"),
        (an_object(a={"pattern": "("}), ""),
    ],
)
def test_what_is_no_schema_of_an_object_is_refused(schema, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are looked at below
        Document(schema)
    assert words in str(caught.value)


def test_every_field_that_is_wrong_is_named_once():
    schema = {
        **an_object(
            name={"type": "string"},
            where=an_object(city={"type": "string"}, zip={"type": "integer"})
            | {"required": ["city", "zip"]},
            tags={"type": "array", "items": {"enum": ["a", "b"]}},
        ),
        "required": ["name", "where"],
        "additionalProperties": False,
    }
    document = Document(schema)
    wrong = {"where": {"zip": "x"}, "tags": ["a", "c"], "other": 1}
    assert sorted(dict(document.problems(wrong))) == [
        "name", "other", "tags.1", "where.city", "where.zip"
    ]  # fmt: skip
    assert document.problems({"name": "n", "where": {"city": "c", "zip": 1}}) == []


def test_many_problems_are_told_up_to_a_bound():
    document = Document(an_object(items={"type": "array", "items": {"type": "integer"}}))
    assert len(document.problems({"items": ["x"] * 5000})) == MOST_PROBLEMS


def test_a_message_does_not_repeat_a_long_value():
    document = Document(an_object(text={"maxLength": 3}))
    ((_, message),) = document.problems({"text": "x" * 100_000})
    assert len(message) <= 300


def test_a_schema_that_refers_to_itself_for_ever_is_answered_for():
    loop = an_object(a={"$ref": "#/$defs/a"}) | {"$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert Document(loop).problems({"a": 1})[0].message == "is nested too deep"


def test_a_tree_may_refer_to_itself():
    node = an_object(next={"$ref": "#/$defs/node"}) | {"additionalProperties": False}
    document = Document({**node, "$defs": {"node": node}})
    assert document.problems({"next": {"next": {}}}) == []
    assert document.problems({"next": {"next": {"x": 1}}})[0].field == "next.next.x"


@pytest.mark.parametrize("value", [b"bytes", float("nan"), {1, 2}])
def test_what_has_no_form_in_json_is_refused(value):
    assert "JSON" in Document({"type": "object"}).problems({"a": value})[0].message


def test_parameters_that_do_not_fit_are_refused_by_name():
    model = params_of("Weather", Document(an_object(city={"type": "string"})))
    with pytest.raises(InvalidParameters) as caught:
        model.model_validate({"city": 1}, strict=True)
    assert [field.field for field in caught.value.fields] == ["parameters.city"]
    model.model_validate({"city": "Ghent", "self": None}, strict=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_json_is_a_schema_or_refused(schema):
    try:
        document = Document({**schema, "type": "object"})
    except ValueError:
        return
    document.problems({"a": 1})
