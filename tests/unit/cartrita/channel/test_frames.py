"""The bytes on a channel, whole, in pieces, and broken."""

import struct
from itertools import pairwise

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.channel.frames import MAX_FRAME, Decoder, Kind, encode, pack, unpack
from cartrita.errors import InvalidMessage, ResourceLimitExceeded

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
leaves = scalars | st.text(max_size=8) | st.binary(max_size=8)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), inner, max_size=4)
    ),
    max_leaves=12,
)
frames = st.tuples(st.integers(0, 9), st.integers(0, 2**32), values).map(list)


def pieces(data, cuts):
    """Cut bytes at some places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def decoded(parts):
    decoder = Decoder()
    return [frame for part in parts for frame in decoder.feed(part)]


def length(count):
    return struct.pack(">I", count)


@given(values)
def test_plain_values_survive_the_wire(value):
    assert unpack(pack(value)) == value


@given(st.lists(frames, max_size=6), st.lists(st.integers(0), max_size=12))
def test_however_a_stream_is_cut_it_reads_the_same(sent, cuts):
    assert decoded(pieces(b"".join(encode(*frame) for frame in sent), cuts)) == sent


def test_a_stream_may_come_byte_by_byte():
    sent = [[Kind.PING, 1], [Kind.REPLY, 2, {"a": [1, "ö"]}], [Kind.PONG, 3]]
    data = b"".join(encode(*frame) for frame in sent)
    assert decoded(data[place : place + 1] for place in range(len(data))) == sent


def test_a_large_frame_is_read_from_small_pieces():
    frame = [Kind.REPLY, 1, b"x" * 1_000_000]
    data = encode(*frame) + encode(Kind.PING, 2)
    assert decoded(data[at : at + 4096] for at in range(0, len(data), 4096)) == [
        frame,
        [Kind.PING, 2],
    ]


def test_an_unfinished_frame_waits_for_its_rest():
    decoder, data = Decoder(), encode(Kind.REPLY, 1, "text")
    assert list(decoder.feed(data[:-1])) == []
    assert list(decoder.feed(data[-1:])) == [[Kind.REPLY, 1, "text"]]


def test_the_largest_frame_passes_and_one_byte_more_does_not():
    room = MAX_FRAME - len(pack([Kind.REPLY, 1, b"x" * 100_000])) + 100_000
    data = encode(Kind.REPLY, 1, b"x" * room)
    assert len(data) == MAX_FRAME + 4
    assert decoded([data]) == [[Kind.REPLY, 1, b"x" * room]]
    with pytest.raises(ResourceLimitExceeded, match="by reference"):
        encode(Kind.REPLY, 1, b"x" * (room + 1))


@pytest.mark.parametrize("announced", [MAX_FRAME + 1, 2**32 - 1])
def test_a_frame_that_announces_too_much_is_refused_before_it_comes(announced):
    with pytest.raises(InvalidMessage, match=str(announced)):
        decoded([length(announced)])


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_garbage_is_invalid_and_nothing_worse(parts):
    try:
        for frame in decoded(parts):
            assert isinstance(frame, list)
    except InvalidMessage:
        pass


@given(st.binary(max_size=60))
def test_a_garbled_body_is_invalid_and_nothing_worse(body):
    try:
        frames = decoded([length(len(body)) + body])
    except InvalidMessage:
        return
    assert len(frames) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",  # a type MessagePack does not have
        pack({"kind": 1}),
        pack("text"),
        pack([]),
        pack([1]),
        pack(["2", 1]),
        pack([2, "1"]),
        pack([2, None]),
        pack([2, 1]) + b"\x00",  # more than one value
        b"\x93\x02\x01\x81\x91\x01\x01",  # a map with an array for a key
        b"\xdd\xff\xff\xff\xff\x01",  # an array of 2^32 - 1
        b"\xc6\x7f\xff\xff\xff\x01",  # bytes that are not there
        b"\xa2\xc3\x28",  # text that is no UTF-8
    ],
)
def test_what_is_no_frame_is_refused(body):
    with pytest.raises(InvalidMessage):
        decoded([length(len(body)) + body])


@pytest.mark.parametrize("depth", [2_000, 1_000_000])
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\x00"])
def test_deep_nesting_is_refused_without_a_crash(opening, depth):
    body = opening * depth + b"\x00"
    with pytest.raises(InvalidMessage):
        decoded([length(len(body)) + body])


def test_nothing_is_ever_made_of_an_extension_type():
    body = msgpack.packb([Kind.REPLY, 1, msgpack.ExtType(42, b"cos\nsystem\n")])
    ((_, _, value),) = decoded([length(len(body)) + body])
    assert value == msgpack.ExtType(42, b"cos\nsystem\n")


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 2**64, -(2**63) - 1, "\ud800", nested(2_000), [print]]
)
def test_what_has_no_form_is_refused_on_the_way_out(value):
    with pytest.raises(InvalidMessage):
        pack(value)
