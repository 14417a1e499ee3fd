"""A stream that comes into a task: numbered, bounded, read once."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.inbox import ROOM, Inbox
from cartrita.errors import InvalidMessage, NotFound, TaskTimeout


@pytest.fixture
def inbox():
    return Inbox("t", idle_timeout=20.0)


async def fill(inbox, count, begin=True):
    if begin:
        await inbox.put("start", 0, None)
    for number in range(1, count + 1):
        await inbox.put("data", number, number)


async def waiting(task):
    """Let a task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_pieces_come_out_as_they_went_in(inbox):
    await inbox.put("start", 0, "audio/wav")
    await inbox.put("data", 1, b"\x00")
    await inbox.put("data", 2, {"x": 1})
    await inbox.put("end", 3, None)
    assert [piece async for piece in inbox] == [b"\x00", {"x": 1}]
    assert inbox.content_type == "audio/wav"
    assert [piece async for piece in inbox] == []


async def test_a_reader_waits_for_what_comes(inbox):
    read = asyncio.create_task(anext(inbox))
    await waiting(read)
    await inbox.put("start", 0, None)
    await waiting(read)
    await inbox.put("data", 1, "a")
    assert await read == "a"


async def test_a_reader_who_waits_too_long_is_told_that_the_stream_is_idle():
    inbox = Inbox("t", idle_timeout=0.01)
    with pytest.raises(TaskTimeout, match=r"'t' for 0\.01 s") as failed:
        await anext(inbox)
    assert failed.value.reason == "STREAM_IDLE"


async def test_a_full_inbox_holds_the_sender_back(inbox):
    await fill(inbox, ROOM)
    one_more = asyncio.create_task(inbox.put("data", ROOM + 1, "more"))
    await waiting(one_more)
    assert await anext(inbox) == 1
    await one_more
    assert [await anext(inbox) for _ in range(ROOM)] == [*range(2, ROOM + 1), "more"]


async def test_pieces_that_wait_for_room_keep_their_order(inbox):
    await fill(inbox, ROOM)
    more = [asyncio.create_task(inbox.put("data", ROOM + n, ROOM + n)) for n in range(1, 5)]
    read = [await anext(inbox) for _ in range(ROOM + 4)]
    await asyncio.gather(*more)
    assert read == list(range(1, ROOM + 5))


async def test_a_repeat_changes_nothing_even_while_the_first_waits_for_room(inbox):
    await fill(inbox, ROOM)
    puts = [asyncio.create_task(inbox.put("data", ROOM + 1, "once")) for _ in range(3)]
    read = [await anext(inbox) for _ in range(ROOM + 1)]
    await asyncio.gather(*puts)
    await inbox.put("end", ROOM + 2, None)
    await inbox.put("end", ROOM + 2, None)
    assert read[-1] == "once"
    assert [piece async for piece in inbox] == []


async def test_a_piece_whose_sender_gave_up_waiting_was_not_taken(inbox):
    await fill(inbox, ROOM)
    gone = asyncio.create_task(inbox.put("data", ROOM + 1, "gone"))
    await waiting(gone)
    gone.cancel()
    await asyncio.wait([gone])
    await anext(inbox)
    await inbox.put("data", ROOM + 1, "again")
    assert [await anext(inbox) for _ in range(ROOM)][-1] == "again"


@pytest.mark.parametrize("sequence", [-1, 0, 1, 4, 100])
async def test_a_gap_is_refused_by_what_was_expected_and_what_came(inbox, sequence):
    await fill(inbox, 2)
    with pytest.raises(InvalidMessage, match=f"piece 3, not with {sequence}"):
        await inbox.put("data", sequence, None)
    await inbox.put("data", 3, None)


@pytest.mark.parametrize(
    ("before", "piece", "why"),
    [
        (None, ("data", 0), "begins with `start`"),
        (None, ("end", 0), "begins with `start`"),
        (None, ("start", 1), "piece 0, not with 1"),
        (None, ("data", -1), "piece 0, not with -1"),
        (0, ("start", 1), "only once"),
        (0, ("song", 1), "'song'"),
    ],
)
async def test_a_piece_out_of_place_is_refused(inbox, before, piece, why):
    if before is not None:
        await fill(inbox, before)
    with pytest.raises(InvalidMessage, match=why):
        await inbox.put(*piece, None)


async def test_nothing_follows_the_end(inbox):
    await inbox.put("start", 0, None)
    await inbox.put("end", 1, None)
    with pytest.raises(InvalidMessage, match="has ended"):
        await inbox.put("data", 2, None)


async def test_whoever_waits_for_room_in_a_task_that_ends_is_told(inbox):
    await fill(inbox, ROOM)
    one_more = asyncio.create_task(inbox.put("data", ROOM + 1, None))
    await waiting(one_more)
    inbox.close()
    with pytest.raises(NotFound, match="'t' has ended"):
        await one_more


@given(st.lists(st.integers(0, 6), max_size=40))
def test_whatever_numbers_come_the_pieces_read_have_no_gap_and_no_repeat(numbers):
    async def feed():
        inbox = Inbox("t", idle_timeout=20.0)
        taken = -1
        for number in numbers:
            try:
                await inbox.put("start" if number == 0 else "data", number, number)
            except InvalidMessage:
                assert number not in (taken, taken + 1)
            else:
                assert number in (taken, taken + 1)
                taken = number
        if taken >= 0:
            await inbox.put("end", taken + 1, None)
            assert [piece async for piece in inbox] == list(range(1, taken + 1))

    asyncio.run(feed())
