"""Tasks with the models that their agents declare, in place of names and dictionaries."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, PrivateAttr, ValidationError

from cartrita.client.models import Outcome
from cartrita.declare import Agent, Result, TaskSpec
from cartrita.errors import InternalFailure, InvalidParameters
from cartrita.protocol.wire import WireModel
from cartrita.stream import Said

P = TypeVar("P", bound=WireModel)
R = TypeVar("R", bound=BaseModel)

Declared = Callable[[Any, P, Any], Awaitable[R]]
"""A method of an agent's class that `@task` marks."""

Streaming = Callable[[Any, P, Any], AsyncIterator[Said | R]]
"""One that says things while it works."""


class TypedOutcome(Outcome, Generic[R]):
    """A task as the server last knew it, whose result has a type."""

    _kind: type[R] = PrivateAttr()

    @classmethod
    def of(cls, outcome: Outcome, kind: type[R]) -> "TypedOutcome[R]":
        """Give an outcome's result a type."""
        typed = cls.model_validate(outcome.model_dump())
        typed._kind = kind  # noqa: SLF001 - it is our own
        return typed

    def unwrap(self) -> R:
        """Return the result of a completed task.

        Raises:
            CartritaError: It did not complete; the class says why. `StillRunning` when it has
                not ended.
        """
        return read_result(self._kind, self.completed())


def read_result(kind: type[R], result: Mapping[str, Any]) -> R:
    """Read a result; what a newer server says beside it is passed over.

    Raises:
        InternalFailure: It is something else.
    """
    try:
        return kind.model_validate(result, extra="ignore")
    except ValidationError as error:
        raise InternalFailure(
            f"The result is no {kind.__name__}: the server's version of the task differs "
            f"from the one installed here ({error.error_count()} fields)."
        ) from None


class RemoteTask(Generic[P, R]):
    """A task type as a server declares it.

        summarize = client.types()["huggingface.text.summarization"]
        answer = client.run(summarize, summarize.params(text="…"))

    Attributes:
        name: The task type.
        params: What it takes.
        result: What it gives.
    """

    def __init__(self, name: str, params: type[P], result: type[R]) -> None:
        self.name, self.params, self.result = name, params, result

    def __repr__(self) -> str:
        return f"<task {self.name!r}: {self.params.__name__} -> {self.result.__name__}>"


def resolved(task: Any, parameters: Any) -> tuple[str, Any, type[BaseModel] | None]:
    """Return a task's name, its parameters, and what its result is read as, if that is known.

    Args:
        task: A name, a method of an agent, a type from `client.types()`, or parameters alone.
        parameters: What it takes.

    Raises:
        InvalidParameters: It is none of these.
    """
    if isinstance(task, str):
        return task, parameters, None
    if isinstance(task, RemoteTask):
        return task.name, parameters, task.result
    if isinstance(task, WireModel):
        spec = spec_of(type(task))
        return spec.name, task, spec.result
    declared = getattr(task, "__cartrita_task__", None)
    if declared is None:
        raise InvalidParameters(
            f"{task!r} is no task: give its name, a method that @task marks, or its parameters."
        )
    return declared.name, parameters, _result_of(task)


def spec_of(kind: type) -> TaskSpec:
    """Return the task that takes a kind of parameters: one of an agent in the same module.

    Raises:
        InvalidParameters: There is none, or more than one.
    """
    agents = vars(sys.modules.get(kind.__module__, sys)).values()
    found = {
        spec.name: spec
        for agent in agents
        if isinstance(agent, type) and issubclass(agent, Agent) and agent is not Agent
        for spec in agent.spec.tasks
        if spec.params is kind
    }
    if len(found) == 1:
        return next(iter(found.values()))
    which = f"belongs to {', '.join(map(repr, found))}" if found else "is no agent's"
    raise InvalidParameters(f"{kind.__name__!r} {which}: name the task before the parameters.")


def _result_of(method: Any) -> type[BaseModel]:
    hint = get_type_hints(method)["return"]
    kinds = [hint]
    while kinds:
        kind = kinds.pop()
        if isinstance(kind, type) and issubclass(kind, Result):
            return kind
        kinds += get_args(kind) if get_origin(kind) is not None else ()
    raise InvalidParameters(f"{method!r} does not say what it returns.")
