"""Tests of how a batch's file is read, and of which lines are done with."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.cli import batch_lines
from cartrita.cli.batch_lines import Tally, lines, task_of
from cartrita.clock import new_id
from cartrita.errors import InvalidMessage, InvalidParameters, ResourceLimitExceeded

TEXTS = st.lists(st.binary(max_size=6).filter(lambda text: b"\n" not in text), max_size=12)


def of(data, block=1 << 16):
    return list(lines(lambda size: file.read(min(size, block)))) if (file := BytesIO(data)) else []


@given(TEXTS, st.integers(1, 9), st.booleans())
def test_a_file_has_the_same_lines_however_it_is_cut(texts, block, ended):
    data = b"\n".join(texts) + (b"\n" if ended and texts else b"")
    found = of(data, block)
    assert [(line.number, line.text) for line in found] == [
        (number, text) for number, text in enumerate(texts, 1) if text.strip()
    ]
    assert sum(line.size for line in found) <= len(data)
    assert found == of(data)


def test_a_line_that_is_too_long_is_told_and_not_kept(monkeypatch):
    monkeypatch.setattr(batch_lines, "LONGEST_LINE", 100)
    monkeypatch.setattr(batch_lines, "BLOCK", 16)
    good = b'{"taskType":"a","parameters":{}}'
    first, second, third = of(good + b"\n" + b"x" * 1000 + b"\n" + good)
    assert (first.text, second.text, third.text) == (good, b"", good)
    assert second.size == 1001
    with pytest.raises(ResourceLimitExceeded):
        task_of(second, new_id())


def test_the_id_of_a_task_follows_from_batch_number_and_text():
    batch = new_id()
    one, same, other = of(
        b'{"taskType":"a","parameters":{}}\n' * 2 + b'{"taskType":"b","parameters":{}}'
    )
    ids = [task_of(line, batch).task_id for line in (one, same, other)]
    assert len(set(ids)) == 3
    assert [task_of(line, batch).task_id for line in (one, same, other)] == ids
    assert task_of(one, new_id()).task_id != ids[0]


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("{", InvalidMessage, "EOF"),
        ("7", InvalidParameters, "body"),
        ("{}", InvalidParameters, "taskType"),
        ('{"taskType":"a","parameters":[]}', InvalidParameters, "parameters"),
        ('{"taskType":"a","parameters":{},"colour":1}', InvalidParameters, "colour"),
        ('{"taskType":"a","parameters":{"x":NaN}}', InvalidMessage, "NaN"),
        ('{"taskType":"a","parameters":{"x":1,"x":2}}', InvalidMessage, "'x' appears twice"),
        ('{"taskType":"a","parameters":{},"taskId":"7"}', InvalidParameters, "taskId"),
    ],
)
def test_what_is_no_task_says_why(text, error, told):
    (line,) = of(text.encode())
    with pytest.raises(error, match=told):
        task_of(line, new_id())


@given(st.integers(1, 9), st.lists(st.lists(st.integers(1, 9), max_size=5), max_size=6))
def test_a_run_that_stops_anywhere_goes_on_with_what_is_left(number, runs):
    """Whatever order lines end in, and wherever it stops: each is done with once."""
    read = of(b"\n\n".join(b"%d" % place for place in range(number)))
    tally, done = Tally(), []
    for ends in [*runs, range(1, number + 1)]:
        left = [line.number for line in read if tally.news(line)]
        tally.end()
        assert left == [line.number for line in read if line.number not in done]
        for place in dict.fromkeys(ends):
            line = 2 * place - 1
            if line in left:
                tally.done(line)
                done.append(line)
        tally = Tally(tally.low, tally.digest, frozenset(tally.beyond))
    assert (tally.low, tally.beyond) == (read[-1].number, [])


def test_a_file_that_changed_is_told():
    tally = Tally()
    for line in of(b"a\nb\nc"):
        tally.news(line)
    for number in (1, 2):
        tally.done(number)

    def again(data):
        other = Tally(tally.low, tally.digest)
        found = [line.number for line in of(data) if other.news(line)]
        other.end()
        return found

    assert again(b"a\nb\nother\nmore") == [3, 4]
    for data in (b"x\nb\nc", b"a", b"a\n\nc", b""):
        with pytest.raises(InvalidParameters, match="has changed"):
            again(data)
