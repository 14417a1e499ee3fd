"""Calls of models, agents and tools, counted by the names that OpenTelemetry gives them."""

from typing import Literal

from cartrita.telemetry.metrics import (
    GENAI_AGENT_SECONDS,
    GENAI_SECONDS,
    GENAI_TOKENS,
    GENAI_TOOL_SECONDS,
    labelled,
)

Operation = Literal["chat", "embeddings"]

MOST_NAMES = 100
"""Models and tools that one process tells apart: callers may name others without end."""

OTHER = "other"


def name_of(error: BaseException) -> str:
    """Return an error's kind: its code, where it has one of ours."""
    code = getattr(error, "code", None)
    return str(getattr(code, "value", "") or type(error).__name__)


class Names:
    """Lets so many different names through, and calls the rest `other`."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._known: set[str] = set()

    def bounded(self, name: str) -> str:
        """Return the name, or `other` where there are too many."""
        if name in self._known:
            return name
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(name)
        return name


_MODELS, _TOOLS = Names(), Names()


def called(
    operation: Operation,
    provider: str,
    model: str,
    seconds: float,
    *,
    error: str = "",
) -> None:
    """Count one call of a model."""
    model = _MODELS.bounded(model)
    labelled(GENAI_SECONDS, operation, provider, model, error).observe(seconds)


def used(
    operation: Operation, provider: str, model: str, tokens_in: int, tokens_out: int = 0
) -> None:
    """Count the tokens of one call that was answered."""
    model = _MODELS.bounded(model)
    labelled(GENAI_TOKENS, operation, provider, model, "input").observe(tokens_in)
    if operation == "chat":
        labelled(GENAI_TOKENS, operation, provider, model, "output").observe(tokens_out)


def acted(agent: str, seconds: float, error: str = "") -> None:
    """Count one attempt of an agent's."""
    labelled(GENAI_AGENT_SECONDS, agent, error).observe(seconds)


def ran(tool: str, seconds: float, *, failed: bool) -> None:
    """Count one run of a tool."""
    error = "tool_error" if failed else ""
    labelled(GENAI_TOOL_SECONDS, _TOOLS.bounded(tool), error).observe(seconds)
