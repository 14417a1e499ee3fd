"""Every tool there is, and how an agent is given those it may use."""

import importlib
import json
import pkgutil
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, get_type_hints

from pydantic import ValidationError

from cartrita.context import Context
from cartrita.errors import (
    AgentFailed,
    AgentUnavailable,
    AuthorizationFailed,
    ConfigurationInvalid,
    InvalidParameters,
    NetworkFailed,
    RateLimitExceeded,
    ResourceLimitExceeded,
)
from cartrita.protocol.wire import field_errors
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


class ToolRegistry:
    """The toolbox: the tools of some sets, by name.

    Raises:
        TypeError: Two sets claim one name.
    """

    def __init__(self, sets: Iterable[Tools]) -> None:
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
        granted = {spec.name: spec for spec in self.specs(agent, changing=changing)}
        for name in names or ():
            if name not in granted:
                raise InvalidParameters(
                    f"This task has no tool {name!r}; it has {', '.join(granted)}.",
                    fields=[("parameters.tools", f"no tool {name!r}")],
                )
        chosen = granted if names is None else dict.fromkeys(names)
        return [langchain_tool(granted[name], self._work(name), ctx) for name in chosen]

    def _work(self, name: str) -> Callable[[Any, Context], Awaitable[Any]]:
        spec, made = self._tools[name]
        work: Callable[[Any, Context], Awaitable[Any]] = getattr(made, spec.method)
        return work


def langchain_tool(
    spec: ToolSpec, work: Callable[[Any, Context], Awaitable[Any]], ctx: Context
) -> Any:
    """Make a LangChain tool: what it is given is checked, what it answers is bounded.

    What is wrong with its input is an answer to the model, and so is what the tool itself
    lacks: the conversation can go on without it.
    """
    from langchain_core.tools import StructuredTool, ToolException  # noqa: PLC0415 - takes a second

    async def guarded(**given: Any) -> str:
        try:
            return shown(await work(spec.input.model_validate(given), ctx))
        except ValidationError as error:
            raise ToolException(_misfit(error)) from error
        except TOLD as error:
            raise ToolException(str(error) or type(error).__name__) from error

    return StructuredTool.from_function(
        coroutine=guarded,
        name=spec.name,
        description=spec.description,
        args_schema=spec.input,
        handle_tool_error=True,
        handle_validation_error=_misfit,
    )


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


async def open_toolbox(get: Callable[[Any], Awaitable[Any]]) -> ToolRegistry:
    """Make every set that is declared, with the ports its constructor's annotations name."""
    made = []
    for kind in discover():
        hints: dict[str, Any] = {}
        if kind.__init__ is not object.__init__:
            hints = get_type_hints(kind.__init__)
        hints.pop("return", None)
        made.append(kind(**{name: await get(port) for name, port in hints.items()}))
    return ToolRegistry(made)
