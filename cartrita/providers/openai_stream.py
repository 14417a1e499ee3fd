"""Reads a stream of chat completions, joining the words that came together."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from typing import Any

DONE = b"[DONE]"
_FIELD = b"data:"

EACH, LONGEST = 0.002, 0.03
"""Seconds between two reads of a stream: so many for each stream of the process, up to the most.

A read costs the same however much has come. So a process makes some 500 a second, until each
stream would be read too seldom by that; one stream alone is read as it comes.
"""


class Pace:
    """How often the streams of one process are read.

    Attributes:
        streams: How many there are now.
    """

    def __init__(self) -> None:
        self.streams = 0

    @property
    def rest(self) -> float:
        """Return the seconds between two reads."""
        return min(LONGEST, self.streams * EACH) if self.streams > 1 else 0.0


async def gathered(blocks: AsyncIterator[bytes], pace: Pace) -> AsyncGenerator[bytes, None]:
    """Return what came of a body, a read at a time, at a pace.

    Args:
        blocks: The body, in pieces as small as its sender made them.
        pace: How often to read.
    """
    held: list[bytes] = []
    came = asyncio.Event()
    pump = asyncio.create_task(_pump(blocks, pace, held, came))
    pump.add_done_callback(lambda _: came.set())
    pace.streams += 1
    try:
        while not pump.done() or held:
            await came.wait()
            came.clear()
            if held:
                block = b"".join(held)
                held.clear()
                yield block
        pump.result()  # what the reading ended with
    finally:
        pace.streams -= 1
        pump.cancel()
        await asyncio.wait([pump])


async def _pump(
    blocks: AsyncIterator[bytes], pace: Pace, held: list[bytes], came: asyncio.Event
) -> None:
    """Put into `held` what comes, and rest after each piece that was waited for.

    Meanwhile more gathers in the socket. The pieces behind it that came in the same read are
    taken without waiting; before the next wait, all of them are shown.
    """
    loop, first = asyncio.get_running_loop(), True
    waited = False

    def look() -> None:
        nonlocal waited
        waited = True
        if held:
            came.set()

    while True:
        waited, looking = False, loop.call_soon(look)  # runs only if the next line waits
        try:
            held.append(await anext(blocks))
        except StopAsyncIteration:
            return
        finally:
            looking.cancel()
        if waited:
            if first:
                came.set()
            first = False
            await asyncio.sleep(pace.rest)


class BrokenOff(Exception):
    """The stream ended before the answer did."""


async def joined(blocks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """Return the events of a stream of server-sent events, in order.

    Of events in one block that say nothing but more words of the answer, one is made.

    Args:
        blocks: The body, in pieces of any size.

    Raises:
        BrokenOff: It ended without the mark that ends it, and without a reason to finish.
    """
    rest, finished = b"", False
    async for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        for event in _together(_events(lines)):
            finished = finished or _finishes(event)
            yield event
        if finished and any(line.startswith(_FIELD) and DONE in line for line in lines):
            return
    for event in _together(_events([rest])):
        finished = finished or _finishes(event)
        yield event
    if not finished:
        raise BrokenOff


def _events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith(_FIELD):
            data = line[len(_FIELD) :].strip()
            if data and data != DONE:
                yield json.loads(data)


def _together(events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Join neighbours that are only words."""
    first: dict[str, Any] | None = None
    words: list[str] = []
    for event in events:
        word = _word(event)
        if word is not None:
            first = first or event
            words.append(word)
            continue
        if first:
            yield _said(first, words)
            first, words = None, []
        yield event
    if first:
        yield _said(first, words)


def _word(event: dict[str, Any]) -> str | None:
    """Return the text of an event that says nothing else."""
    choices = event.get("choices")
    if not choices or len(choices) > 1 or event.get("usage"):
        return None
    choice = choices[0]
    delta = choice.get("delta") or {}
    text = delta.get("content")
    plain = all(key in ("content", "role") or not value for key, value in delta.items())
    more = choice.get("finish_reason") or choice.get("logprobs")
    return text if plain and not more and isinstance(text, str) else None


def _said(event: dict[str, Any], words: list[str]) -> dict[str, Any]:
    choice = event["choices"][0]
    delta = {**choice["delta"], "content": "".join(words)}
    return {**event, "choices": [{**choice, "delta": delta}]}


def _finishes(event: dict[str, Any]) -> bool:
    return any(choice.get("finish_reason") for choice in event.get("choices") or ())
