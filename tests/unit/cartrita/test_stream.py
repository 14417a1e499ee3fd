"""What tasks say, how tokens are joined, and what a streaming task must yield."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.stream import (
    LARGEST_RUN,
    LONGEST_WAIT,
    Coalescer,
    Progress,
    Token,
    ToolUse,
    last_of,
    to_wire,
)

texts = st.one_of(st.text(max_size=8), st.sampled_from(["é" * 900, "x" * 4095, "x" * 5000]))
items = st.one_of(st.builds(Token, texts), st.just(Progress(0.5)), st.just(ToolUse("t", {})))
spoken = st.lists(st.tuples(st.floats(0, 0.03), items), max_size=60)


def joined(said):
    """Return what was said with neighbouring tokens as one."""
    whole = []
    for item in said:
        if isinstance(item, Token) and whole and isinstance(whole[-1], Token):
            whole[-1] = Token(whole[-1].text + item.text)
        elif item != Token(""):
            whole.append(item)
    return whole


def send(said):
    """Send each piece the moment it is due; returns (when, piece), and how much was late."""
    coalescer, now, sent = Coalescer(), 0.0, []
    for pause, item in said:
        while coalescer.due <= now + pause:
            sent.append((max(coalescer.due, now), coalescer.take()))
        now += pause
        coalescer.add(item, now)
    while coalescer:
        sent.append((max(coalescer.due, now), coalescer.take()))
    return sent


@given(spoken)
def test_nothing_is_lost_changed_or_overtaken(said):
    assert joined(piece for _, piece in send(said)) == joined(item for _, item in said)


@given(spoken)
def test_only_a_single_token_is_larger_than_a_run_may_be(said):
    alone = {item.text for _, item in said if isinstance(item, Token)}
    for _, piece in send(said):
        if isinstance(piece, Token) and len(piece.text.encode()) > LARGEST_RUN:
            assert piece.text in alone


@given(spoken)
def test_nothing_waits_longer_than_the_longest_wait(said):
    left, now = [], 0.0
    for pause, item in said:
        now += pause
        if item != Token(""):
            left.append((now, item))
    for when, piece in send(said):
        spoken_at, item = left.pop(0)
        if not isinstance(piece, Token):
            assert (when, piece) == (spoken_at, item)
            continue
        rest = piece.text.removeprefix(item.text)
        while rest:
            rest = rest.removeprefix(left.pop(0)[1].text)
        assert when <= spoken_at + LONGEST_WAIT  # the first one waited longest
    assert left == []


def test_tokens_of_one_moment_are_one_piece():
    coalescer = Coalescer()
    for text in ("a", "b", "c"):
        coalescer.add(Token(text), 1.0)
    assert (len(coalescer), coalescer.due) == (1, 1.0)
    assert coalescer.take() == Token("abc")
    assert coalescer.due == math.inf


def test_the_first_token_waits_for_no_other_and_those_behind_it_do():
    coalescer = Coalescer()
    coalescer.add(Token("a"), 1.0)
    assert (coalescer.due, coalescer.take()) == (1.0, Token("a"))
    coalescer.add(Token("b"), 1.001)
    coalescer.add(Token("c"), 1.002)
    assert (coalescer.due, coalescer.take()) == (1.0 + LONGEST_WAIT, Token("bc"))


def test_a_token_behind_a_silence_waits_for_no_other():
    coalescer = Coalescer()
    for now in (1.0, 1.0 + 2 * LONGEST_WAIT, 9.0):
        coalescer.add(Token("a"), now)
        assert coalescer.due == now
        coalescer.take()


def test_a_full_run_is_due_at_once():
    coalescer = Coalescer()
    coalescer.add(Token("first"), 1.0)
    coalescer.take()
    coalescer.add(Token("x" * 4000), 1.001)
    coalescer.add(Token("x" * 96), 1.002)
    assert coalescer.due == 1.002


def test_what_follows_tokens_sends_them_on_their_way():
    coalescer = Coalescer()
    coalescer.add(Token("first"), 1.0)
    coalescer.take()
    coalescer.add(Token("a"), 1.001)
    coalescer.add(Progress(1.0), 1.002)
    assert coalescer.due == 1.002
    assert [coalescer.take(), coalescer.take()] == [Token("a"), Progress(1.0)]


def test_each_kind_has_its_wire_form():
    assert to_wire(Token("a")) == ["token", {"text": "a"}]
    assert to_wire(Progress(0.5, "half")) == ["progress", {"fraction": 0.5, "text": "half"}]
    assert to_wire(ToolUse("sum", [1, 2], 3)) == [
        "tool",
        {"name": "sum", "input": [1, 2], "output": 3},
    ]


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan, math.inf])
def test_progress_that_is_none_is_refused(fraction):
    with pytest.raises(ValueError, match="fraction"):
        Progress(fraction)


def test_a_token_that_is_no_text_is_refused():
    with pytest.raises(TypeError, match="b'a'"):
        Token(b"a")


class TestLastOf:
    @pytest.fixture
    def said(self):
        return []

    @pytest.fixture
    def follow(self, said):
        """Give a function that runs a generator of these items, with `int` for a result."""

        async def generator(items):
            try:
                for item in items:
                    yield item
            finally:
                said.append("closed")

        async def say(item):
            said.append(item)

        return lambda *items: last_of(generator(items), int, say)

    async def test_the_last_is_the_result_and_the_rest_is_said(self, follow, said):
        assert await follow(Token("a"), Progress(1.0), 7) == 7
        assert said == [Token("a"), Progress(1.0), "closed"]

    @pytest.mark.parametrize(
        ("items", "why"),
        [
            ([], "ended without yielding a int"),
            ([Token("a")], "ended without yielding a int"),
            ([7, Token("a")], "yielded Token after its result"),
            ([7, 8], "yielded int after its result"),
            (["a", 7], "yielded str: a task yields"),
        ],
    )
    async def test_anything_else_is_a_type_error(self, follow, said, items, why):
        with pytest.raises(TypeError, match=why):
            await follow(*items)
        assert said[-1] == "closed"
