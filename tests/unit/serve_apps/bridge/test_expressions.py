"""JMESPath as rows use it."""

import pytest

from serve_apps.bridge.expressions import Expression, Unfit


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("integer('12')", 12),
        ("integer('1.9')", 1),
        ("integer(body.n)", 7),
        ("integer('x')", None),
        ("integer(`true`)", None),
        ("integer('1e999')", None),
        ("integer('1.0e300')", None),
        ("integer('-1.0e300')", None),
        ("integer('1.0e999')", None),
        ("integer(`1e300`)", None),
        ("integer('9999999999999999')", 999999999999999),
        ("to_number('nan')", None),
        ("flag('Yes')", True),
        ("flag(`false`)", False),
        ("flag('perhaps')", None),
        ("text('  ')", None),
        ("text(body.n)", None),
        ("split('a, b,,c', ',')", ["a", "b", "c"]),
        ("split(body.list, ',')", [1]),
        ("json('{\"a\": 1}').a", 1),
        ("json('{')", None),
        ("json(body.list)", [1]),
        ("given({a: body.n, b: body.x})", {"a": 7}),
        ("given({b: body.x})", None),
        ("times(body.n, `2`)", 14),
        ("times(body.x, `2`)", None),
        ("plus(body.n, body.x)", None),
        ("either(body.zero, `5`)", 0),
        ("either(body.x, `5`)", 5),
    ],
)
def test_functions_of_ours(text, found):
    assert Expression(text)({"body": {"n": 7, "list": [1], "zero": 0}}) == found


@pytest.mark.parametrize("text", ["!a.b", "c || !a.b && 'x'", "{f: !a.b}"])
def test_a_field_of_a_not_is_refused_because_it_is_always_null(text):
    with pytest.raises(ValueError, match=r"!\(a\.b\)"):
        Expression(text)
    assert Expression("!(a.b) && 'x'")({"a": {"b": False}}) == "x"
    assert Expression("!a && 'x'")({}) == "x"


def test_a_fresh_id_is_another_each_time():
    fresh = Expression("fresh_id()")
    assert fresh({}) != fresh({})


def test_what_does_not_fit_is_an_error_and_holds_nothing():
    long = Expression("length(body.message) <= `4`")
    assert long.holds({"body": {"message": "abcd"}})
    assert not long.holds({"body": {"message": "abcde"}})
    assert not long.holds({"body": {"message": 5}})
    with pytest.raises(Unfit):
        long({"body": {"message": 5}})


@pytest.mark.parametrize("text", ["a[*].b", "a[?b].b", "c.*.b", "a[].b", "a[*].d[*].b"])
def test_lists_that_only_an_attacker_sends_are_not_gone_through(text):
    read = Expression(text)
    few = {"a": [{"b": 1, "d": [{"b": 1}]}], "c": {"x": {"b": 1}}}
    assert read(few) in ([1], [[1]])
    many = {
        "a": [{"b": 1, "d": [{"b": 1}] * 200}] * (200 if "d" in text else 10_001),
        "c": {str(n): {"b": 1} for n in range(10_001)},
    }
    with pytest.raises(Unfit, match="more than"):
        read(many)
    assert read(few) in ([1], [[1]])


def test_nothing_and_zero_are_told_apart():
    assert Expression("n").holds({"n": 0})
    assert not Expression("n").holds({"n": None})
    assert not Expression("n").holds({"n": ""})


def test_it_knows_which_field_of_the_client_s_a_parameter_is_made_of():
    made = Expression(
        "{searchType: body.search_type, limit: either(query.limit, `20`), id: path.id, "
        "both: body.a || query.b, mode: 'fixed', who: user.id}"
    )
    names = ("searchType", "limit", "id", "both", "mode", "who", "nothing")
    assert [made.source(name) for name in names] == [
        "search_type", "limit", "id", None, None, None, None,
    ]  # fmt: skip
    assert Expression("body").source("body") is None
