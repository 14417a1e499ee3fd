"""How a tool says what it does: one class for a set of them, one decorator.

Subclass `Input` for what a tool is given, and `Tools` for a set of tools, in a file of this
folder; docs/reference/tools.md has an example. Nothing else needs to know of it.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, JsonValue

from cartrita.context import Context

EVERY_AGENT = ("*",)
"""The allow-list of a tool that can do no harm: no agent is kept from it."""


class Input(BaseModel):
    """What a tool is given. Subclass it per tool; a model reads the fields' descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Answer = str | JsonValue
"""What a tool answers: text, or plain values that a model reads as JSON."""

Method = TypeVar("Method", bound=Callable[..., Awaitable[Any]])


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool: everything anybody needs to know about it.

    Attributes:
        agents: Who may use it, by name; `EVERY_AGENT` for all.
        changes: It changes the outside world: a person is asked before it runs, and what it
            does goes through the effect ledger.
    """

    name: str
    description: str
    input: type[Input]
    agents: tuple[str, ...]
    changes: bool
    method: str

    def granted(self, agent: str) -> bool:
        """Tell whether an agent may use it."""
        return self.agents == EVERY_AGENT or agent in self.agents


@dataclass(frozen=True, slots=True)
class Declaration:
    """What `@tool` attaches to a method."""

    name: str
    agents: tuple[str, ...]
    changes: bool


def tool(
    name: str, *, agents: tuple[str, ...] = EVERY_AGENT, changes: bool = False
) -> Callable[[Method], Method]:
    """Declare that a method is a tool; the model reads its docstring.

    The method is `async def (self, given: <Input>, ctx: Context) -> str` or returns plain JSON
    values. A `ValueError`, and what a `CartritaError` says of a thing outside (no model, no
    network, not found, refused), is answered to the model, which can go on without it.

    Args:
        name: What models call it.
        agents: The agents that may use it: their classes' names in lower case.
        changes: It changes the outside world, so a person is asked first.
    """
    if not name.isidentifier() or not agents:
        raise TypeError(f"A tool needs a name that is an identifier and agents, not {name!r}")
    declaration = Declaration(name, agents, changes)

    def attach(method: Method) -> Method:
        method.__cartrita_tool__ = declaration  # type: ignore[attr-defined]
        return method

    return attach


class Tools:
    """The base of every set of tools. Subclass it in a file of `cartrita/tools`.

    The constructor's annotations name the ports it needs, as an agent's do.
    """

    specs: ClassVar[tuple[ToolSpec, ...]]

    def __init_subclass__(cls) -> None:
        """Read the declarations of a new set."""
        super().__init_subclass__()
        cls.specs = tuple(
            _spec(cls, attribute, method)
            for attribute, method in vars(cls).items()
            if hasattr(method, "__cartrita_tool__")
        )
        if not cls.specs:
            raise TypeError(f"{cls.__name__} declares no tool: decorate a method with @tool")


def _spec(cls: type[Tools], attribute: str, method: Any) -> ToolSpec:
    declared: Declaration = method.__cartrita_tool__
    where = f"{cls.__name__}.{attribute}"
    if not inspect.iscoroutinefunction(method):
        raise TypeError(f"{where} must be a coroutine function")
    hints = get_type_hints(method)
    given = hints.get("given")
    if not (isinstance(given, type) and issubclass(given, Input)) or hints.get("ctx") != Context:
        raise TypeError(f"{where} must be `async def (self, given: <Input>, ctx: Context)`")
    text = inspect.getdoc(method)
    if not text:
        raise TypeError(f"{where} needs a docstring: models read it")
    return ToolSpec(declared.name, text, given, declared.agents, declared.changes, attribute)
