"""Tests of the models that are made of JSON Schemas."""

import pytest
from pydantic import TypeAdapter, ValidationError

from cartrita.catalog import discover
from cartrita.client.shapes import model_of

TASKS = [spec for spec in discover("actors.agents").tasks.values() if spec.example]


@pytest.mark.parametrize("spec", TASKS, ids=lambda spec: spec.name)
def test_every_example_is_read_as_the_declaration_reads_it(spec):
    made = model_of(spec.params.model_json_schema(by_alias=True), "Params")
    ours = spec.params.model_validate(spec.example)
    theirs = made.model_validate(spec.example)
    sent = [
        one.model_dump(mode="json", by_alias=True, exclude_unset=True) for one in (ours, theirs)
    ]
    assert sent[0] == sent[1]
    assert set(made.model_fields) == set(spec.params.model_fields)


SCHEMA = {
    "title": "Shape",
    "description": "A shape.",
    "type": "object",
    "required": ["kind", "partCount", "URL"],
    "properties": {
        "kind": {"enum": ["round", "square"]},
        "partCount": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9},
        "URL": {"type": "string", "maxLength": 20},
        "at": {"type": "string", "format": "date-time"},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "maxItems": 2},
        "weights": {"type": "object", "additionalProperties": {"type": "number"}},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "fixed": {"const": "x"},
        "anything": {},
    },
    "$defs": {
        "Part": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "inner": {"$ref": "#/$defs/Part"}},
            "required": ["name"],
        }
    },
}
GOOD = {"kind": "round", "partCount": 2, "URL": "x"}


def test_fields_have_pythons_names_and_are_written_by_those_of_the_wire():
    shape = model_of(SCHEMA, "Params")
    made = shape(kind="round", part_count=2, URL="x", parts=[{"name": "a", "inner": {"b": 1}}])
    assert shape.__name__ == "Shape"
    assert shape.__doc__ == "A shape."
    wire = made.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert wire == {**GOOD, "parts": [{"name": "a", "inner": {"b": 1}}]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "oval"),
        ("partCount", 0),
        ("partCount", 9),
        ("URL", "x" * 21),
        ("at", "soon"),
        ("parts", [{}]),
        ("parts", [{"name": "a"}] * 3),
        ("weights", {"a": "heavy"}),
        ("fixed", "y"),
        ("colour", "red"),
    ],
)
def test_what_the_schema_refuses_is_refused(field, value):
    with pytest.raises(ValidationError):
        model_of(SCHEMA, "Params").model_validate({**GOOD, field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("note", None),
        ("anything", {"a": [1]}),
        ("weights", {"a": 1.5}),
        ("at", "2026-11-25T12:00:00Z"),
        ("parts", []),
    ],
)
def test_what_it_takes_is_taken(field, value):
    kind = model_of(SCHEMA, "Params")
    assert TypeAdapter(kind).validate_python({**GOOD, field: value}) is not None
