"""What the results of tasks that use tools have in common."""

from collections.abc import Iterable
from typing import Any, Protocol

from pydantic import Field

from cartrita.clock import iso
from cartrita.context import Context
from cartrita.protocol.wire import WireModel

LONGEST_OUTPUT = 2_000
"""Characters of a tool's output that a result repeats."""


class Called(Protocol):
    """One use of a tool, as a conversation tells it."""

    @property
    def tool(self) -> str:
        """Its name."""

    @property
    def input(self) -> dict[str, Any]:
        """What it was given."""

    @property
    def output(self) -> str:
        """What it answered."""

    @property
    def failed(self) -> bool:
        """Whether that is an error."""


class ToolStep(WireModel):
    """A tool that was used."""

    tool: str
    input: dict[str, Any]
    output: str = Field(description=f"Its first {LONGEST_OUTPUT} characters.")
    failed: bool = False


class AgentMetadata(WireModel):
    """How the answer came about."""

    model: str
    timestamp: str = Field(description="ISO-8601, UTC.")
    tokens: int = Field(description="Prompt and completion of every model call.")
    tools_used: list[str] = Field(description="Names, in the order of their first use.")
    steps_count: int = Field(description="Uses of tools.")


def tool_steps(calls: Iterable[Called]) -> list[ToolStep]:
    """Return uses of tools as a result tells them."""
    return [
        ToolStep(
            tool=call.tool,
            input=call.input,
            output=call.output[:LONGEST_OUTPUT],
            failed=call.failed,
        )
        for call in calls
    ]


def metadata(model: str, steps: list[ToolStep], ctx: Context) -> AgentMetadata:
    """Return how an answer came about; everything the task used so far counts."""
    return AgentMetadata(
        model=model,
        timestamp=iso(ctx.clock.now()),
        tokens=sum(usage.tokens_in + usage.tokens_out for usage in ctx.usages),
        tools_used=list(dict.fromkeys(step.tool for step in steps)),
        steps_count=len(steps),
    )
