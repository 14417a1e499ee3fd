"""What an attempt says reaches its supervisor in order, and not faster than it can take it."""

import asyncio

import pytest

from actors.outbox import LARGEST, MOST_WAITING, Outbox
from cartrita.errors import ChannelLost, InvalidMessage, ResourceLimitExceeded
from cartrita.stream import Progress, Token, ToolUse, to_wire


class Reader:
    """Takes as many events as the test lets it."""

    def __init__(self, credit=1000):
        self.heard, self.error = [], None
        self._credit = asyncio.Semaphore(credit)

    def grant(self, amount):
        for _ in range(amount):
            self._credit.release()

    def emit(self, payload):
        self.heard.append(payload)

    async def send(self, payload):
        await self._credit.acquire()
        if self.error:
            raise self.error
        self.emit(payload)


@pytest.fixture
async def reader():
    return Reader(credit=0)


@pytest.fixture
async def outbox(reader):
    box = Outbox(reader)
    yield box
    box.close()


def progress(number):
    return Progress(number / 100)


async def fill(outbox):
    """Say things until one waits for the reader and as many as may wait are behind it."""
    for number in range(MOST_WAITING + 1):
        await outbox.say(progress(number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return [to_wire(progress(number)) for number in range(MOST_WAITING + 1)]


async def test_everything_is_sent_in_order_before_the_end(outbox, reader):
    reader.grant(100)
    for item in (Token("a"), Token("b"), Progress(0.5), Token("c"), ToolUse("t", 1)):
        await outbox.say(item)
    assert await outbox.flush(10)
    assert reader.heard == [
        ["token", {"text": "ab"}],
        ["progress", {"fraction": 0.5, "text": None}],
        ["token", {"text": "c"}],
        ["tool", {"name": "t", "input": 1, "output": None}],
    ]


async def test_tokens_are_sent_without_a_flush(outbox, reader):
    reader.grant(1)
    await outbox.say(Token("a"))
    async with asyncio.timeout(10):
        await outbox._sent.wait()
    assert reader.heard == [["token", {"text": "a"}]]


async def test_a_slow_reader_holds_the_agent_back(outbox, reader):
    expected = await fill(outbox)
    one_more = asyncio.create_task(outbox.say(progress(99)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not one_more.done()
    reader.grant(1)
    await one_more
    reader.grant(100)
    assert await outbox.flush(10)
    assert reader.heard == [*expected, to_wire(progress(99))]


async def test_an_agent_that_gives_up_waiting_takes_back_nothing_else(outbox, reader):
    expected = await fill(outbox)
    one_more = asyncio.create_task(outbox.say(progress(99)))
    await asyncio.sleep(0)
    one_more.cancel()
    await asyncio.wait([one_more])
    reader.grant(100)
    assert await outbox.flush(10)
    assert reader.heard == expected


async def test_a_flush_that_takes_too_long_says_so(outbox, reader):
    await outbox.say(Token("a"))
    assert not await outbox.flush(0.01)
    reader.grant(1)
    assert await outbox.flush(10)


async def test_after_the_close_nothing_is_sent(outbox, reader):
    await outbox.say(Token("a"))
    outbox.close()
    reader.grant(10)
    await asyncio.wait([outbox._sender])
    assert reader.heard == []


async def test_a_channel_that_is_lost_lets_nobody_wait(outbox, reader):
    await fill(outbox)
    one_more = asyncio.create_task(outbox.say(Token("a")))
    await asyncio.sleep(0)
    reader.error = ChannelLost()
    reader.grant(1)
    await one_more
    assert await outbox.flush(10)
    assert reader.heard == []


async def test_what_has_no_form_on_the_wire_is_refused_at_once(outbox):
    with pytest.raises(InvalidMessage):
        await outbox.say(ToolUse("t", object()))


@pytest.mark.parametrize(
    "item", [Token("x" * (LARGEST + 1)), Progress(text="x" * LARGEST), ToolUse("t", b"x" * LARGEST)]
)
async def test_what_is_too_large_is_refused_at_once(outbox, item):
    with pytest.raises(ResourceLimitExceeded, match=str(LARGEST)):
        await outbox.say(item)
