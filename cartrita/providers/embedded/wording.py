"""What the tool router says."""

import json
from collections.abc import Mapping, Sequence

from cartrita.providers.embedded.intent import (
    NOTHING_FOUND,
    WRITES,
    Outcome,
    Smalltalk,
    Step,
    Tools,
    Unmet,
    Use,
)

MODEL = "local/tool-router-1"

LONGEST_INPUT = 80
"""Characters of a tool's input that an answer repeats."""

REFUSAL = (
    "This request needs a language model, which the built-in tool router is not. "
    "Set OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server such as Ollama or vLLM."
)


def abilities(tools: Tools) -> str:
    """Return what can be asked for here."""
    if not tools:
        return "There are no tools to use either."
    lines = [f"- {tool.name}: {_first_sentence(tool.description)}" for tool in tools.values()]
    return "\n".join([f"I can use these tools, for example `{next(iter(tools))}: …`:", *lines])


def greeting(tools: Tools) -> str:
    """Return a greeting that says what this is and what it can do."""
    return (
        f"Hello. I am Cartrita's built-in tool router ({MODEL}), not a language model.\n"
        f"{abilities(tools)}"
    )


def answer(steps: Sequence[Step], outcomes: Mapping[int, Outcome], tools: Tools) -> str:
    """Return the answer to a message: one part per request, numbered when there are several.

    `outcomes` holds what the tools answered, by the number of the step.
    """
    parts = [
        _part(step, outcomes.get(number))
        for number, step in enumerate(steps)
        if not isinstance(step, Smalltalk)
    ]
    if len(parts) > 1:
        parts = [f"{number}. {part}" for number, part in enumerate(parts, start=1)]
    elif isinstance(steps[0], Unmet) and steps[0].needs_model:
        parts = []
    if needs_model(steps, outcomes):
        parts += [REFUSAL, abilities(tools)]
    return "\n".join(parts) if parts else greeting(tools)


def needs_model(steps: Sequence[Step], outcomes: Mapping[int, Outcome]) -> bool:
    """Tell whether something was left that a language model could do."""
    left = any(isinstance(step, Unmet) and step.needs_model for step in steps)
    return left or any(outcome.text.startswith(NOTHING_FOUND) for outcome in outcomes.values())


def _part(step: Step, outcome: Outcome | None) -> str:
    if isinstance(step, Use):
        return _ran(step.tool, step.args, outcome)
    why = step.why if isinstance(step, Unmet) else WRITES
    return f"Not done: {_short(step.clause)!r}: {why}."


def _ran(tool: str, args: Mapping[str, object], outcome: Outcome | None) -> str:
    """Return a tool's result, always with the tool and its input."""
    values = (value if isinstance(value, str) else json.dumps(value) for value in args.values())
    given = ", ".join(values)
    called = f"({tool}: {_short(given)})" if given else f"({tool})"
    if outcome is None:
        return f"Not done: the tool gave no answer. {called}"
    return f"Not done: {outcome.text}. {called}" if outcome.failed else f"{outcome.text} {called}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_INPUT else f"{text[: LONGEST_INPUT - 1]}…"


def _first_sentence(text: str) -> str:
    return text.strip().split("\n", 1)[0].split(". ", 1)[0].rstrip(".") + "."
