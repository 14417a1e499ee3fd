"""Answers a message of a conversation."""

from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cartrita.agency.sessions import Sessions, owner_of
from cartrita.clock import iso
from cartrita.context import Context
from cartrita.cost.price import metered
from cartrita.declare import Agent, ModelResult, Params, Result, task
from cartrita.errors import InvalidParameters
from cartrita.protocol.answer import Cacheable, Gate
from cartrita.protocol.task import Name
from cartrita.protocol.text import Prose, Unicode
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports import ChatModels, Toolbox
from cartrita.storage.threads import Owner, Recollection

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
    history: Annotated[list[Turn], Field(max_length=100)] | None = Field(
        default=None,
        description="The conversation so far, oldest first. Without it, and with a `sessionId`, "
        "what you said earlier in that session is remembered, and this, too.",
    )
    system: Annotated[Prose, Field(max_length=8_000)] | None = Field(
        default=None, description="Instructions in place of the built-in ones."
    )
    model: Name | None = Field(
        default=None,
        description="Default: the configured one; `auto` is whichever of them suits the request.",
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Default: the provider's."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        turns = sum(len(turn.content) for turn in self.history or ())
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
    remembered: int | None = Field(
        default=None, description="Earlier messages of the session that were read."
    )


class ForgetParams(Params):
    """Which session; by default the request's own."""

    session: Name | None = None


class ForgetResult(Result):
    """What was deleted."""

    forgotten: int = Field(description="Messages.")


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

    def __init__(self, models: ChatModels, toolbox: Toolbox, sessions: Sessions) -> None:
        from cartrita.conversation import Said, converse  # noqa: PLC0415 - imports LangChain

        self._models, self._toolbox, self._sessions = models, toolbox, sessions
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

        With a `sessionId` and no `history` it is remembered from one message to the next. With
        `preferences.streaming` its words come as events while it writes. Without a configured
        language model the built-in tool router answers: it runs tools, quotes what is stored, and
        says what it cannot do.
        """
        chat = self._models.open(params.model, temperature=params.temperature)
        owner = owner_of(ctx) if params.history is None else None
        work = ctx.root or ctx.task_id
        known = await self._sessions.recall(owner, work) if owner else None
        said = [
            self._said("system", params.system or SYSTEM),
            *self._before(known),
            *(self._said(turn.role, turn.content) for turn in params.history or ()),
            self._said("user", params.message),
        ]
        tools = self._toolbox.tools(ctx, self.spec.name)
        shown = ctx.preferences.streaming
        reply = await self._converse(chat, said, tools, ctx, CEILING, stream=shown)
        # What tools said holds now, and for this caller; the built-in router asks nobody else.
        ctx.storable = reply.info.generative and not (owner or reply.calls or reply.refused)
        if reply.refused:
            ctx.warn("The model did not do what was asked; its message says why.")
        if owner:
            ctx.after[:] = [partial(self._sessions.keep, owner, work, params.message, reply.text)]
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
                model=reply.info.model,
                timestamp=iso(ctx.clock.now()),
                tokens=reply.tokens,
                tools_used=list(dict.fromkeys(call.tool for call in reply.calls)),
                remembered=len(known.turns) if known else None,
            ),
            **reply.info.fields(),
        )

    def _before(self, known: Recollection | None) -> list[Any]:
        """Return what is remembered, as messages."""
        if known is None:
            return []
        summary = f"Summary of the conversation so far:\n{known.summary}"
        return [
            *([self._said("user", summary)] if known.summary else []),
            *(self._said(turn.role, turn.content) for turn in known.turns),
        ]

    @task(
        "langchain.chat.forget",
        timeout=15,
        idempotent=True,
        example={"session": "a-session"},
    )
    async def forget(self, params: ForgetParams, ctx: Context) -> ForgetResult:
        """Delete what is remembered of a session of yours."""
        session = params.session or ctx.session_id
        if session is None:
            raise InvalidParameters(
                "Name the session to forget.", fields=[("parameters.session", "is missing")]
            )
        owner = Owner(ctx.principal.tenant, ctx.principal.user, session)
        return ForgetResult(forgotten=await self._sessions.forget(owner))
