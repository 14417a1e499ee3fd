"""Tests of who answers while v2 still runs."""

import json
from base64 import urlsafe_b64encode
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.bridge.share import Caller, Rule, Side, caller_of, place_of, side_of

shares = st.floats(0, 1)
rules = st.builds(Rule, *[st.booleans()] * 3)
callers = st.builds(Caller, st.text(max_size=20), st.booleans(), st.booleans())
PLAIN = Rule()


def token(**claims):
    middle = urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{middle}.c2ln"


V2, V3 = {"iss": "cartrita-auth"}, {"iss": "cartrita-mcp"}


@given(st.text())
def test_a_place_is_a_number_below_one_and_always_the_same(key):
    assert 0 <= place_of(key) < 1
    assert place_of(key) == place_of(key)


def test_places_are_spread_evenly():
    for share in (0.01, 0.1, 0.5):
        mine = sum(place_of(f"user:{number}") < share for number in range(20_000))
        assert mine == pytest.approx(20_000 * share, rel=0.15)


@given(callers, rules, st.lists(shares, min_size=2))
def test_who_is_the_bridges_stays_so_when_the_share_grows(caller, rule, some):
    sides = [side_of(caller, rule, share, rolled_back=False) for share in sorted(some)]
    assert all(after is Side.BRIDGE for before, after in pairwise(sides) if before is Side.BRIDGE)


@given(callers, shares)
def test_all_and_nothing_are_exact(caller, share):
    plain = Caller(caller.key)
    assert side_of(plain, PLAIN, 1.0, rolled_back=False) is Side.BRIDGE
    assert side_of(plain, PLAIN, 0.0, rolled_back=False) is Side.V2


@given(callers, rules, shares)
def test_after_a_rollback_all_is_v2s_but_what_it_must_not_do(caller, rule, share):
    side = side_of(caller, rule, share, rolled_back=True)
    assert side is (Side.BRIDGE if rule.kept else Side.V2)


@given(callers, st.booleans(), st.booleans(), shares, st.booleans())
def test_what_is_refused_never_goes_to_v2(caller, served, issues, share, back):
    assert side_of(caller, Rule(True, served, issues), share, rolled_back=back) is Side.BRIDGE


@given(rules, shares)
def test_who_has_a_credential_of_v3_is_the_bridges(rule, share):
    assert side_of(Caller("u", ours=True), rule, share, rolled_back=False) is Side.BRIDGE


@given(st.text(), st.floats(0, 1, exclude_max=True))
def test_until_all_is_the_bridges_v2_signs_in_and_knows_its_keys(key, share):
    assert side_of(Caller(key), Rule(issues=True), share, rolled_back=False) is Side.V2
    assert side_of(Caller(key, theirs=True), PLAIN, share, rolled_back=False) is Side.V2
    assert side_of(Caller(key), Rule(issues=True), 1, rolled_back=False) is Side.BRIDGE
    assert side_of(Caller(key, theirs=True), PLAIN, 1, rolled_back=False) is Side.BRIDGE


@given(st.text(), shares)
def test_what_the_bridge_has_not_yet_is_v2s(key, share):
    assert side_of(Caller(key), Rule(served=False), share, rolled_back=False) is Side.V2


def test_a_person_is_the_same_by_every_token():
    first = caller_of(token(sub=7, exp=1, **V2), None, None, "a")
    again = caller_of(token(sub=7, exp=2, **V2), None, "session", "b")
    assert first == again == Caller("user:7")


def test_a_token_of_v3_is_ours_and_so_is_a_key():
    assert caller_of(token(sub="u", **V3), None, None, "a") == Caller("user:u", ours=True)
    assert caller_of(None, "ctk_x", None, "a") == Caller("key:ctk_x", ours=True)
    assert caller_of("ctk_x", None, None, "a").ours


def test_who_shows_a_credential_of_v2_and_one_of_v3_is_ours():
    """v2 must not see the second, whichever says who it is."""
    v2, v3 = token(sub=7, **V2), token(sub="u", **V3)
    assert caller_of(v2, "ctk_x", None, "a") == Caller("user:7", ours=True)
    assert caller_of("odd", "ctk_x", None, "a") == Caller("key:odd", ours=True)
    assert caller_of(v2, v3, None, "a") == Caller("user:7", ours=True)
    assert caller_of(v3, "cartrita_ab", None, "a") == Caller("user:u", ours=True)


def test_a_key_of_v2_and_what_is_no_token_is_theirs():
    assert caller_of(None, "cartrita_ab", None, "a") == Caller("key:cartrita_ab", theirs=True)
    assert caller_of("a.b.c", None, None, "a").theirs


def test_without_a_credential_a_session_counts_and_then_the_address():
    assert caller_of(None, None, "s", "a") == Caller("session:s")
    assert caller_of(None, "", "", "a") == Caller("site:a")


@given(st.text(), st.none() | st.text(), st.none() | st.text(), st.text())
def test_anything_at_all_is_somebody(bearer, key, session, site):
    found = caller_of(bearer, key, session, site)
    assert len(found.key) <= 600
    assert not (found.ours and found.theirs)
