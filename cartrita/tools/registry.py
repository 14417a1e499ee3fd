"""Every tool there is, and how an agent is given those it may use."""

import importlib
import json
import pkgutil
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Annotated, Any, Protocol, get_type_hints

from pydantic import ValidationError, create_model

from cartrita.approvals import Approval, Verdict
from cartrita.context import Context
from cartrita.errors import (
    AgentFailed,
    AgentUnavailable,
    AuthorizationFailed,
    ConfigurationInvalid,
    InternalFailure,
    InvalidParameters,
    NetworkFailed,
    OutcomeUnknown,
    RateLimitExceeded,
    ResourceLimitExceeded,
)
from cartrita.protocol.wire import digest_of, field_errors
from cartrita.tools.declare import Input, Tools, ToolSpec

LONGEST_ANSWER = 8_000
"""Characters of a tool's answer that a model is given: it pays for them, time and again."""

TOLD = (
    ValueError,
    AgentFailed,
    AgentUnavailable,
    AuthorizationFailed,
    ConfigurationInvalid,
    InvalidParameters,
    NetworkFailed,
    RateLimitExceeded,
    ResourceLimitExceeded,
)
"""What is an answer to the model. Anything else ends the task: time, money, a defect."""


CHANGE = "tool"
"""The effect that a task declares whose agent may use tools that change the outside world."""

Work = Callable[..., Awaitable[Any]]


class Asks(Protocol):
    """Asks people whether a tool may be used."""

    async def ask(self, tool: str, given: Any, call: str, ctx: Context) -> Approval:
        """Wait until somebody approved or denied it."""


class ToolRegistry:
    """The toolbox: the tools of some sets, by name.

    Args:
        sets: The tools.
        asks: Without it, nothing that changes the outside world is offered.

    Raises:
        TypeError: Two sets claim one name.
    """

    def __init__(self, sets: Iterable[Tools], asks: Asks | None = None) -> None:
        self._asks = asks
        self._tools: dict[str, tuple[ToolSpec, Tools]] = {}
        for made in sets:
            for spec in made.specs:
                if self._tools.setdefault(spec.name, (spec, made))[1] is not made:
                    raise TypeError(f"Two sets of tools declare {spec.name!r}")

    def specs(self, agent: str, *, changing: bool = True) -> list[ToolSpec]:
        """Return the tools an agent may use, by name."""
        found = [spec for spec, _ in self._tools.values() if spec.granted(agent)]
        return sorted(
            (spec for spec in found if changing or not spec.changes), key=lambda spec: spec.name
        )

    def tools(
        self,
        ctx: Context,
        agent: str,
        names: Sequence[str] | None = None,
        *,
        changing: bool = False,
    ) -> list[Any]:
        """Return an agent's tools, bound to the caller of `ctx`, as LangChain takes them.

        Raises:
            InvalidParameters: A name is of no tool that this agent may use.
        """
        changing = changing and self._asks is not None
        granted = {spec.name: spec for spec in self.specs(agent, changing=changing)}
        for name in names or ():
            if name not in granted:
                raise InvalidParameters(
                    f"This task has no tool {name!r}; it has {', '.join(granted)}.",
                    fields=[("parameters.tools", f"no tool {name!r}")],
                )
        chosen = granted if names is None else dict.fromkeys(names)
        return [self._bound(name, ctx) for name in chosen]

    def _bound(self, name: str, ctx: Context) -> Any:
        spec, made = self._tools[name]
        return langchain_tool(spec, getattr(made, spec.method), ctx, self._asks)


def langchain_tool(spec: ToolSpec, work: Work, ctx: Context, asks: Asks | None = None) -> Any:
    """Make a LangChain tool: what it is given is checked, what it answers is bounded.

    What is wrong with its input is an answer to the model, and so is what the tool itself
    lacks, or that somebody denied it: the conversation can go on without it.
    """
    # LangChain takes a second to import.
    from langchain_core.tools import (  # noqa: PLC0415
        InjectedToolCallId,
        StructuredTool,
        ToolException,
    )

    async def guarded(**fields: Any) -> str:
        call = fields.pop(_CALL, "")
        try:
            given = spec.input.model_validate(fields)
            if not spec.changes:
                return shown(await work(given, ctx))
            return await _approved(spec, work, given, call, ctx, asks)
        except ValidationError as error:
            raise ToolException(_misfit(error)) from error
        except OutcomeUnknown:
            raise  # a person decides what became of it
        except TOLD as error:
            raise ToolException(str(error) or type(error).__name__) from error

    schema: type[Input] = spec.input
    if spec.changes:  # it needs the id of the call, which no model sees or gives
        field: Any = (Annotated[str, InjectedToolCallId], ...)
        schema = create_model(spec.input.__name__, __base__=spec.input, **{_CALL: field})
    return StructuredTool.from_function(
        coroutine=guarded,
        name=spec.name,
        description=spec.description,
        args_schema=schema,
        handle_tool_error=True,
        handle_validation_error=_misfit,
    )


_CALL = "tool_call_id"


async def _approved(
    spec: ToolSpec, work: Work, given: Input, call: str, ctx: Context, asks: Asks | None
) -> str:
    """Use a tool that changes the outside world: once, and only if a person says so."""
    if asks is None:
        raise InternalFailure(f"There is nobody to ask about {spec.name!r}.")
    call = f"{call}/{digest_of(given)}"  # providers may number calls anew with each answer
    answer = await asks.ask(spec.name, given.model_dump(mode="json"), call, ctx)
    if answer.verdict is not Verdict.APPROVED:
        why = f": {answer.reason}" if answer.reason else "."
        raise ValueError(f"{answer.decided_by} denied the use of {spec.name}{why}")

    async with ctx.effect(CHANGE, key=f"{spec.name}/{call}") as effect:

        async def act() -> str:
            return shown(await work(given, ctx, effect.id))

        try:
            return str(await effect.once(act))
        except (InvalidParameters, ValueError):
            effect.not_done()
            raise


def _misfit(error: Any) -> str:
    return "; ".join(f"{name}: {text}" for name, text in field_errors(error)[:10])


def shown(answer: Any) -> str:
    """Write an answer as the model reads it, cut where it is too long."""
    if isinstance(answer, Input):
        answer = answer.model_dump(mode="json")
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    cut = len(text) - LONGEST_ANSWER
    return text if cut <= 0 else f"{text[:LONGEST_ANSWER]}… [{cut} more characters]"


def discover(package: str = "cartrita.tools") -> list[type[Tools]]:
    """Import every module of `package` and return the sets of tools declared there."""
    root = importlib.import_module(package)
    found: dict[type[Tools], None] = {}
    for item in pkgutil.iter_modules(root.__path__):
        module = importlib.import_module(f"{package}.{item.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Tools) and value is not Tools:
                found[value] = None
    return list(found)


async def open_toolbox(get: Callable[[Any], Awaitable[Any]], asks: Asks) -> ToolRegistry:
    """Make every set that is declared, with the ports its constructor's annotations name."""
    made = []
    for kind in discover():
        hints: dict[str, Any] = {}
        if kind.__init__ is not object.__init__:
            hints = get_type_hints(kind.__init__)
        hints.pop("return", None)
        made.append(kind(**{name: await get(port) for name, port in hints.items()}))
    return ToolRegistry(made, asks)
