"""Tests of cartrita/coding/rules.py."""

import ast
import dataclasses
import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.coding.forms import ClassParams
from cartrita.coding.rules import data_class, data_class_tests, interface_tests
from cartrita.providers.ports_code import Parameter, Review, Routine

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def of(sample=None, **more):
    return ClassParams(
        description="x", language=more.pop("language", "python"), sample=sample, **more
    )


def loaded(code):
    module = ModuleType("made")
    sys.modules["made"] = module
    try:
        exec(code, vars(module))
    finally:
        del sys.modules["made"]
    return module


def test_a_sample_becomes_data_classes_innermost_first():
    sample = {"id": 1, "price": 2.5, "tags": ["a"], "owner": {"name": "Ann"}, "x": None}
    module = loaded(
        data_class(of(sample | {"items": [{"sku": "a"}, {"sku": "b"}]}, name="shop item"))
    )
    assert [field.name for field in dataclasses.fields(module.ShopItem)] == [*sample, "items"]
    types = module.ShopItem.__annotations__
    assert types == {
        "id": "int",
        "price": "float",
        "tags": "list[str]",
        "owner": "Owner",
        "x": "Any",
        "items": "list[Item]",
    }
    assert module.Item.__annotations__ == {"sku": "str"}


def test_lists_of_different_things_hold_anything():
    code = data_class(of({"a": [1, "x"], "b": [], "c": [{"d": 1}, {"e": 2}], "f": [1, {"g": 1}]}))
    assert code.count("list[Any]") == 4


def test_properties_are_taken_as_told():
    code = data_class(of(properties=["a", {"name": "b", "type": "int | None"}], name="Two"))
    assert loaded(code).Two.__annotations__ == {"a": "Any", "b": "int | None"}


def test_javascript_gets_a_class_with_jsdoc():
    code = data_class(of({"name": "x", "tags": ["a"]}, language="javascript", name="Cat"))
    assert code.startswith("export class Cat {")
    assert "@param {string[]} tags" in code


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"methods": ["run"], "properties": ["a"]},
        {"properties": ["class"]},
        {"properties": ["a b"]},
        {"sample": {"first-name": 1}},
        {"properties": [{"name": "a", "type": "int = evil()"}]},
        {"properties": ["a"], "language": "rust"},
    ],
)
def test_what_is_more_than_data_is_not_made(more):
    assert data_class(of(**more)) is None


@given(st.dictionaries(st.text() | st.from_regex(r"[a-z]{1,6}", fullmatch=True), JSON, max_size=5))
def test_whatever_the_sample_what_is_made_is_python_and_its_tests_hold(sample):
    code, tests = data_class(of(sample)), data_class_tests(of(sample))
    if code is not None:
        module = loaded(code)
        if tests is not None:
            ast.parse(tests)
            made = module.Record(**sample)
            assert dataclasses.asdict(made) == sample


def test_interface_tests_check_signatures_and_examples():
    add = Routine("add", 1, 1, (Parameter("a"), Parameter("*rest")), examples=(("add(1, 2)", "3"),))
    hidden, method = Routine("_x", 2, 1, ()), Routine("m", 3, 1, (), owner="C")
    tests = interface_tests(Review(("x",), True, 3, routines=(add, hidden, method)))
    ast.parse(tests)
    assert "['a', 'rest']" in tests
    assert "eval('add(1, 2)', vars(solution)), 3)" in tests
    assert "_x" not in tests
    assert interface_tests(Review(("x",), True, 3, routines=(hidden, method))) is None
