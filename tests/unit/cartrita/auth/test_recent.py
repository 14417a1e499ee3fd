"""Tests of the bounded memory."""

from cartrita.auth.recent import Recent


def test_the_entry_used_longest_ago_makes_room():
    recent = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, 3)
    assert len(recent) == 2


def test_putting_an_entry_again_replaces_it():
    recent = Recent(2)
    recent.put("a", 1)
    recent.put("a", 2)
    assert (recent.get("a"), len(recent)) == (2, 1)


def test_what_is_dropped_is_gone():
    recent = Recent(2)
    recent.put("a", 1)
    recent.put("b", 1)
    recent.drop("a")
    recent.drop("never there")
    assert (recent.get("a"), len(recent)) == (None, 1)
    recent.clear()
    assert len(recent) == 0
