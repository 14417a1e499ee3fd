"""Reads a stream of chat completions, joining the words that came together."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

DONE = b"[DONE]"
_FIELD = b"data:"


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
