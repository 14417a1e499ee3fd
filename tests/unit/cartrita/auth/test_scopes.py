"""Tests of what several scopes leave."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.auth.scopes import checked, covers, meet, rights, within
from cartrita.errors import AuthorizationFailed, InvalidParameters
from cartrita.protocol.principal import USER_SCOPES, Role

PATTERNS = st.lists(st.text("ab*", min_size=1, max_size=5).map("tasks:{}".format), max_size=4)
WORDS = st.text("ab", max_size=6).map("tasks:{}".format)


def allows(scopes, permission):
    return any(fnmatchcase(permission, scope) for scope in scopes)


@given(PATTERNS, PATTERNS, WORDS)
def test_what_both_leave_is_allowed_by_both(ones, others, word):
    if allows(meet(ones, others), word):
        assert allows(ones, word)
        assert allows(others, word)


@given(PATTERNS, st.text("ab*", min_size=1, max_size=5).map("tasks:{}".format), WORDS)
def test_what_is_covered_allows_nothing_more(held, scope, word):
    if covers(held, scope) and allows([scope], word):
        assert allows(held, word)


@pytest.mark.parametrize(
    ("role", "scopes", "expected"),
    [
        (Role.USER, ["*"], (Role.USER, USER_SCOPES)),
        (Role.USER, ["tasks:a.*", "admin:*"], (Role.USER, ("tasks:a.*",))),
        (Role.USER, ["admin:*"], (Role.USER, ())),
        (Role.USER, ["agents:*"], (Role.USER, ("agents:read",))),
        (Role.ADMIN, ["tasks:*"], (Role.USER, ("tasks:*",))),
        (Role.ADMIN, ["*"], (Role.ADMIN, ("*",))),
        (Role.ADMIN, ["admin:*", "keys:read"], (Role.ADMIN, ("admin:*", "keys:read"))),
        (Role.ADMIN, ["admin:audit"], (Role.USER, ("admin:audit",))),
    ],
)
def test_a_key_is_worth_what_its_user_is_worth_and_its_scopes_say(role, scopes, expected):
    assert rights(role, scopes) == expected


@pytest.mark.parametrize("wrong", ["", "tasks", "tasks:", "tasks:A", "tasks:[a]", "tasks:?", "x:*"])
def test_what_is_no_scope_is_named(wrong):
    with pytest.raises(InvalidParameters) as caught:
        checked(["tasks:*", wrong])
    assert [field.field for field in caught.value.fields] == ["scopes.1"]


def test_scopes_are_some_and_not_too_many():
    assert checked(["*", "tasks:a.b_c-1.*", "*"]) == ("*", "tasks:a.b_c-1.*")
    for wrong in ([], ["tasks:*"] * 51, ["tasks:" + "a" * 200]):
        with pytest.raises(InvalidParameters):
            checked(wrong)


def test_nobody_hands_on_more_than_they_have():
    within(["tasks:a.*"], Role.USER, ["tasks:*"])
    within(["*", "admin:*"], Role.ADMIN, ["*"])
    for beyond in (["*"], ["tasks:a", "admin:*"], ["tasks:*b"]):
        with pytest.raises(AuthorizationFailed) as caught:
            within(beyond, Role.USER, ["tasks:a*"])
        assert caught.value.fields[0].field == "scopes"
