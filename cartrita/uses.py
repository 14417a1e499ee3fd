"""What attempts used, models and tools: as it is journaled, and as it reads back."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cartrita.channel.frames import pack
from cartrita.context import Usage, Use
from cartrita.cost.budget import MODEL_USED
from cartrita.cost.price import nano
from cartrita.errors import InvalidMessage
from cartrita.journal import ATTEMPT_SHIFT, Event, EventKind

MODEL, TOOL, CUT = MODEL_USED, "tool", "cut"
"""The kinds of rows; the last one stands where so many were used that no more were kept."""

LONGEST_INPUT = 4_000
LONGEST_OUTPUT = 2_000
"""Characters that a story keeps of what a tool is given and answers."""


class Used(NamedTuple):
    """One use, as the journal has it.

    Attributes:
        at: Unix seconds at which it was over.
        kind: `MODEL`, `TOOL` or `CUT`.
    """

    attempt: int
    at: float
    kind: str
    data: Any


def provider_of(model: str) -> str:
    """Return who runs a model: what stands before the slash, or we ourselves."""
    provider, _, name = model.partition("/")
    return provider if name else "cartrita"


def told(use: Use) -> list[Any]:
    """Return the kind and the data of a use, as plain values."""
    spent = round(use.seconds * 1000, 3)
    if isinstance(use, Usage):
        tokens = {"tokensIn": use.tokens_in, "tokensOut": use.tokens_out}
        data = {"model": use.model, **tokens, "nanoUsd": nano(use.usd)}
        return [MODEL, {**data, "durationMs": spent, "failed": use.failed}]
    given, answer = brief(use.input, LONGEST_INPUT), brief(use.output, LONGEST_OUTPUT)
    data = {"name": use.name, "input": given, "output": answer}
    return [TOOL, {**data, "durationMs": spent, "failed": use.failed}]


def brief(value: Any, longest: int) -> Any:
    """Return a plain value as it is when that is short, else the beginning of it as text."""
    try:
        if len(pack(value)) <= longest:
            return value
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (InvalidMessage, TypeError):  # not plain, or not in JSON's way
        text = str(value)
    text = text.encode(errors="replace").decode()
    return text if len(text) <= longest else text[:longest] + "…"


def uses(story: Sequence[Event]) -> Iterator[Used]:
    """Return what the journal has of the uses of a task, in the order of time."""
    for event in story:
        if event.kind is EventKind.USED:
            for at, kind, data in event.data:
                yield Used(event.step >> ATTEMPT_SHIFT, at, kind, data)
