"""What expressions find as functions, against JMESPath's own interpreter."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jmespath import exceptions, parser, visitor

from serve_apps.bridge.expressions import FUNCTIONS, MOST_ITEMS, READER, Expression
from serve_apps.bridge.finders import Finders, is_true
from serve_apps.bridge.kinds import read_kinds
from serve_apps.bridge.table import load

FINDERS = Finders(READER, FUNCTIONS)
ERRORS = (exceptions.JMESPathError, TypeError, ValueError)
EQUAL_TO_OTHERS = [None, True, False, 0, 1, -1, 0.0, 1.5, "", " ", "a", "1", [], {}]


def told_by(model):
    """Yield the expressions of a row or a kind, and of what stands in it."""
    for _, value in model:
        if isinstance(value, Expression):
            yield value.text
        for one in value if isinstance(value, tuple) else (value,):
            if hasattr(one, "model_fields_set"):
                yield from told_by(one)


@cache
def shipped():
    """All expressions that we ship, of which none is another at each call."""
    found = {text for one in (*load().rows, *read_kinds().kinds) for text in told_by(one)}
    return sorted(text for text in found if "fresh_id" not in text)


@cache
def tree(text):
    return parser.Parser().parse(text).parsed


def names_in(node):
    if isinstance(node, dict):
        own = {node["value"]} if node["type"] == "field" else set()
        return frozenset(own).union(*map(names_in, node.get("children", ())))
    return frozenset()


VALUES = st.sampled_from(EQUAL_TO_OTHERS) | st.integers() | st.text(max_size=4)


@cache
def documents(names):
    """Documents in which those names stand somewhere."""
    keys = st.sampled_from(sorted(names) or ["a"])
    inner = st.recursive(
        VALUES,
        lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=6),
        max_leaves=12,
    )
    return st.dictionaries(keys, inner, max_size=6) | inner


def outcome(find, document):
    """Return what is found with the types of all that is in it, or the error."""
    READER.left = MOST_ITEMS
    try:
        return repr(find(document))
    except ERRORS as error:
        return type(error), str(error)


def assert_same(text, document):
    node = tree(text)
    expected = outcome(lambda value: READER.visit(node, value), document)
    assert outcome(FINDERS.of(node), document) == expected, text


@given(st.data())
def test_all_that_we_ship_finds_what_jmespath_finds(data):
    assert len(shipped()) > 300
    text = data.draw(st.sampled_from(shipped()))
    assert_same(text, data.draw(documents(names_in(tree(text)))))


def both(form):
    return lambda one: st.tuples(one, one).map(lambda pair: form.format(*pair))


LEAVES = st.sampled_from(
    ["a", "b", "a.b", "@", "a[0]", "a[-1]", "a[*].b", "a[]", "'x'", "`0`", "`[]`", "`null`"]
)


def larger(one):
    """Make expressions out of smaller ones."""
    forms = ["text({})", "length({})", "flag({})", "[{}]", "{{k: {}}}", "!({})", "text({}, 'x')",
             "({}).a", "({})[0]", "({}).a.b", "({}).{{k: a}}", "({}).[a, b]"]  # fmt: skip
    pairs = ["({} || {})", "({} && {})", "({} == {})", "({} != {})", "({} < {})", "[{}, {}]",
             "({} | {})", "{{k: {}, l: {}}}", "either({}, {})", "not_null({}, {})"]  # fmt: skip
    return st.one_of(
        *(one.map(form.format) for form in forms),
        *(both(form)(one) for form in pairs),
    )


@given(st.recursive(LEAVES, larger, max_leaves=5), documents(frozenset("ab")))
def test_any_other_expression_finds_what_jmespath_finds(text, document):
    assert_same(text, document)


@pytest.mark.parametrize("value", [*EQUAL_TO_OTHERS, [0], {"a": None}, b"", float("nan")])
def test_what_counts_as_true_is_what_does_for_jmespath(value):
    assert is_true(value) is visitor.TreeInterpreter()._is_true(value)
