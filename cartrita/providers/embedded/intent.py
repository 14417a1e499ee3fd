"""What the tool router may make of a request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

CALCULATOR = "calculator"
CLOCK = "getCurrentDateTime"
MEMORY = "knowledge_query"
SUMMARY = "summarize"
SENTIMENT = "sentiment"

NOTHING_FOUND = "Nothing that is stored matches."
"""How the memory tool's answer begins when it has none."""

WRITES = "writing and open questions are a language model's work"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the model was told of it.

    Attributes:
        parameters: Its arguments as a JSON schema.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


Tools = Mapping[str, Tool]


@dataclass(frozen=True, slots=True)
class Use:
    """A request that a tool is for."""

    clause: str
    tool: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unmet:
    """A request that is not done, and why.

    Attributes:
        needs_model: Whether a language model could do it.
    """

    clause: str
    why: str
    needs_model: bool = False


@dataclass(frozen=True, slots=True)
class Smalltalk:
    """A greeting, or a question about what can be done here."""

    clause: str


@dataclass(frozen=True, slots=True)
class Open:
    """A request no rule reads.

    Attributes:
        first: Whether nothing was asked before it in the same message.
    """

    clause: str
    first: bool = True


Step = Use | Unmet | Smalltalk | Open


class Outcome(NamedTuple):
    """What a tool answered."""

    text: str
    failed: bool = False


def filled(tool: Tool, clause: str, rest: str) -> Step:
    """Use a tool if its arguments can be read off `rest`; otherwise ask for them.

    Only a single text or number is filled in: anything more would be a guess.
    """
    properties = tool.parameters.get("properties", {})
    required = list(tool.parameters.get("required") or ())
    names = required or list(properties)[:1]
    if not required and not rest:
        return Use(clause, tool.name, {})
    if len(names) == 1:
        value = _value(rest, properties.get(names[0], {}).get("type"))
        if value is not None:
            return Use(clause, tool.name, {names[0]: value})
    wanted = ", ".join(f"`{name}`" for name in names)
    return Unmet(clause, f"`{tool.name}` needs {wanted}: write `{tool.name}: …`")


def _value(text: str, kind: str | None) -> str | float | None:
    if kind == "string":
        return text or None
    numbers = re.findall(r"-?\d+(?:\.\d+)?", text)
    if kind not in ("integer", "number") or len(numbers) != 1:
        return None
    return float(numbers[0]) if "." in numbers[0] else int(numbers[0])
