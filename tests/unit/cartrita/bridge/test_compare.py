"""Tests of comparing answers by their shapes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.bridge.compare import DEEPEST, MOST, Answer, breaking, differences

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.text(max_size=3)
bodies = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=4)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), bodies, max_size=5)


def told(body, status=200):
    return Answer(status, "application/json", body)


def between(v2, bridge):
    """Return differences as short texts; what breaks nobody in brackets."""
    found = differences(told(v2), told(bridge))
    texts = [f"{one.where}: {one.v2} -> {one.bridge}" for one in found]
    return [text if one.breaks else f"({text})" for text, one in zip(texts, found, strict=True)]


@given(bodies)
def test_an_answer_is_no_different_from_itself(body):
    assert between(body, json.loads(json.dumps(body))) == []


@given(objects, st.randoms())
def test_the_order_of_fields_is_no_difference(body, chance):
    names = list(body)
    chance.shuffle(names)
    assert between(body, {name: body[name] for name in names}) == []


@given(st.lists(st.integers() | st.floats()), st.lists(st.integers(), min_size=1))
def test_values_are_no_difference(some, others):
    assert between({"n": some, "t": "a"}, {"n": others, "t": "b"}) == []


@given(objects, bodies)
def test_what_is_there_in_addition_breaks_nobody(body, more):
    found = differences(told(body), told({**body, "more": more}))
    assert [one.where for one in found] == ["$.more"]
    assert not breaking(found)


@given(objects, st.integers())
def test_what_is_missing_breaks(body, value):
    found = differences(told({**body, "id": value}), told(body))
    assert [(one.where, one.bridge) for one in found] == [("$.id", "missing")]
    assert breaking(found)


@given(bodies, bodies)
def test_what_is_missing_one_way_is_in_addition_the_other_way(one, other):
    there, back = differences(told(one), told(other)), differences(told(other), told(one))
    assert {it.where for it in there if it.bridge == "missing"} == {
        it.where for it in back if it.v2 == "missing"
    }


@pytest.mark.parametrize(
    ("v2", "bridge", "found"),
    [
        ({"n": "1"}, {"n": 1}, ["$.n: string -> number"]),
        ({"n": True}, {"n": 1}, ["$.n: boolean -> number"]),
        ({"n": {}}, {"n": []}, ["$.n: object -> array"]),
        ({"n": None}, {"n": 1}, []),
        ({"n": 1}, {"n": None}, ["($.n: number -> null)"]),
        ({"n": []}, {"n": [1]}, []),
        ({"n": [1]}, {"n": []}, []),
        ({"n": [1, "a"]}, {"n": ["a"]}, []),
        ({"n": [1]}, {"n": ["a"]}, ["$.n[]: number -> string"]),
        ([{"a": 1}], [{"a": 1, "b": 1}], ["($[].b: missing -> number)"]),
        ([{"a": 1}, {}], [{}], ["($[].a: number -> missing)"]),
        ([{"a": 1}, {"a": 2}], [{"a": 1}, {}], ["$[].a: number -> number, or missing"]),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": ""}}}, ["$.a.b.c: number -> string"]),
    ],
)
def test_shapes_are_compared_place_by_place(v2, bridge, found):
    assert between(v2, bridge) == found


def test_another_status_breaks():
    (found,) = differences(told({}, 200), told({}, 403))
    assert (found.where, found.v2, found.bridge, found.breaks) == ("status", "200", "403", True)


def test_what_is_no_json_is_compared_by_its_kind():
    html, plain = Answer(200, "text/html"), Answer(200, "text/plain")
    assert [one.where for one in differences(html, plain)] == ["type"]
    assert differences(html, html) == []
    assert [one.where for one in differences(html, told({}))] == ["type"]


def test_a_body_of_any_size_is_told_of_in_few_words():
    many = {str(number): number for number in range(1000)}
    assert len(differences(told(many), told({}))) == MOST


def test_a_body_of_any_depth_is_looked_at_as_deep_as_answers_are():
    deep, other = 1, ""
    for _ in range(500):
        deep, other = [deep], [other]
    assert differences(told(deep), told(other)) == []
    shallow, different = 1, ""
    for _ in range(DEEPEST - 1):
        shallow, different = {"a": shallow}, {"a": different}
    assert len(differences(told(shallow), told(different))) == 1


def test_a_name_that_may_tell_of_somebody_is_not_told():
    """Names of fields are shown to administrators; people choose some of them."""
    odd = {"ann@b.example": 1, "My secret": {"a": 1}, "plain_name-2": 1, "x" * 100: 1}
    found = between({**odd, "n": 1}, {"n": 1})
    assert {text.partition(":")[0] for text in found} == {"$.*", "$.plain_name-2"}
