"""Answers a message of a conversation."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cartrita.clock import iso
from cartrita.context import Context
from cartrita.cost.price import metered
from cartrita.declare import Agent, ModelResult, Params, task
from cartrita.protocol.answer import Cacheable, Gate
from cartrita.protocol.task import Name
from cartrita.protocol.text import Prose, Unicode
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import ChatModels, Toolbox

CEILING = metered("0.25", 40_000)
LONGEST_MESSAGE = 32_000
LONGEST_CONVERSATION = 60_000
"""Characters of all messages, so that the prompt fits the ceiling with room for tools."""

LONGEST_OUTPUT = 2_000
"""Characters of a tool's output that the result repeats."""

SYSTEM = (
    "You are Cartrita, a helpful assistant. Use the tools for arithmetic, for the time and to "
    "look things up. Say so when you do not know something."
)


class Turn(WireModel):
    """An earlier message."""

    role: Literal["user", "assistant", "system"]
    content: Annotated[Unicode, Field(max_length=LONGEST_MESSAGE)]


class ChatParams(Params):
    """A message and what was said before it."""

    message: Annotated[Prose, Field(max_length=LONGEST_MESSAGE)]
    history: list[Turn] = Field(
        default_factory=list, max_length=100, description="The conversation so far, oldest first."
    )
    system: Annotated[Prose, Field(max_length=8_000)] | None = Field(
        default=None, description="Instructions in place of the built-in ones."
    )
    model: Name | None = Field(default=None, description="Default: the configured one.")
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Default: the provider's."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        turns = sum(len(turn.content) for turn in self.history)
        total = len(self.message) + len(self.system or "") + turns
        if total > LONGEST_CONVERSATION:
            raise ValueError(
                f"the conversation has {total} characters, at most {LONGEST_CONVERSATION}"
            )
        return self


class ToolCall(WireModel):
    """A tool the model used."""

    tool: str
    input: dict[str, Any]
    output: str = Field(description=f"Its first {LONGEST_OUTPUT} characters.")
    failed: bool = False


class ChatMetadata(WireModel):
    """How the answer came about."""

    model: str
    timestamp: str = Field(description="ISO-8601, UTC.")
    tokens: int = Field(description="Prompt and completion of every model call.")
    tools_used: list[str] = Field(description="Names, in the order of their first use.")


class ChatResult(ModelResult):
    """The answer."""

    message: str
    role: Literal["assistant"] = "assistant"
    tool_calls: list[ToolCall] = Field(default_factory=list)
    metadata: ChatMetadata


def alone(params: ChatParams, ctx: Context) -> bool:
    """Tell whether a message says all that its answer depends on."""
    return not (params.history or ctx.session_id or params.temperature)


class Chat(Agent, team="intelligence"):
    """Talks, and uses tools while it does."""

    def __init__(self, models: ChatModels, toolbox: Toolbox) -> None:
        from cartrita.conversation import Said, converse  # noqa: PLC0415 - imports LangChain

        self._models, self._toolbox = models, toolbox
        self._said, self._converse = Said, converse

    @task(
        "langchain.chat.execute",
        cost=CEILING,
        timeout=120,
        idempotent=True,
        cacheable=Cacheable(text="message", when=alone),
        gate=Gate(text="message", refusals=True),
        example={"message": "What is 15% of 240?"},
    )
    async def execute(self, params: ChatParams, ctx: Context) -> ChatResult:
        """Answer a message, with the conversation before it in mind.

        Without a configured language model the built-in tool router answers: it runs tools,
        quotes what is stored, and says what it cannot do.
        """
        chat = self._models.open(params.model, temperature=params.temperature)
        said = [
            self._said("system", params.system or SYSTEM),
            *(self._said(turn.role, turn.content) for turn in params.history),
            self._said("user", params.message),
        ]
        reply = await self._converse(chat, said, self._toolbox.tools(ctx), ctx, CEILING)
        # What tools said holds now, and for this caller; the built-in router asks nobody else.
        ctx.storable = chat.info.generative and not (reply.calls or reply.refused)
        if reply.refused:
            ctx.warn("The model did not do what was asked; its message says why.")
        return ChatResult(
            message=reply.text,
            tool_calls=[
                ToolCall(
                    tool=call.tool,
                    input=call.input,
                    output=call.output[:LONGEST_OUTPUT],
                    failed=call.failed,
                )
                for call in reply.calls
            ],
            metadata=ChatMetadata(
                model=chat.info.model,
                timestamp=iso(ctx.clock.now()),
                tokens=reply.tokens,
                tools_used=list(dict.fromkeys(call.tool for call in reply.calls)),
            ),
            **chat.info.fields(),
        )
