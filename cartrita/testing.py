"""Runs one task of an agent in a test, without the rest of the system."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from cartrita.catalog import Catalog
from cartrita.clock import SystemClock, new_id
from cartrita.context import Context
from cartrita.declare import Agent, Result, TaskSpec
from cartrita.errors import InvalidParameters, TaskTimeout
from cartrita.protocol.wire import field_errors
from cartrita.services import Services


async def run_task(
    agent: type[Agent],
    task_type: str,
    params: Mapping[str, Any],
    providers: Mapping[Any, object] | None = None,
    **context: Any,
) -> Result:
    """Build an agent with fakes for its ports and run one of its tasks as a worker would.

        result = await run_task(
            Research, "research.web.search", {"query": "actors"}, {WebSearch: ThreePages()}
        )

    Args:
        agent: The agent's class.
        task_type: One of its tasks, by name or alias.
        params: As a client writes them, in camelCase or snake_case.
        providers: An implementation for each port in the constructor's annotations.
        context: Fields of `Context`, such as `principal` or `session_id`. Pass lists as
            `warnings` and `usages` to see afterwards what the task reported.

    Raises:
        InvalidTaskType: The agent does not declare the task.
        InvalidParameters: The parameters do not fit its model.
        ConfigurationInvalid: A port has no provider.
        TaskTimeout: The task took longer than it declares.
        TypeError: The result is not what the task declares.
    """
    spec = Catalog.of([agent]).task(task_type)
    services = Services({port: _giving(made) for port, made in (providers or {}).items()})
    instance = await services.build(agent)
    ctx = _context(spec, context)
    try:
        async with asyncio.timeout(ctx.remaining()):
            result = await getattr(instance, spec.method)(_parse(spec, params), ctx)
    except TimeoutError as error:
        raise TaskTimeout(f"{spec.name!r} took longer than {spec.timeout:g} s.") from error
    return _checked(spec, result)


def _giving(made: object) -> Any:
    return lambda _services: made


def _context(spec: TaskSpec, fields: dict[str, Any]) -> Context:
    clock = fields.get("clock") or SystemClock()
    given: dict[str, Any] = {
        "task_id": new_id(),
        "task_type": spec.name,
        "clock": clock,
        "deadline": clock.monotonic() + spec.timeout,
    }
    return Context(**(given | fields))


def _parse(spec: TaskSpec, params: Mapping[str, Any]) -> Any:
    try:
        return spec.params.model_validate(dict(params))
    except ValidationError as error:
        fields = field_errors(error, "parameters.")
        raise InvalidParameters(
            f"The parameters of {spec.name!r} do not fit: {fields!r}", fields=fields
        ) from error


def _checked(spec: TaskSpec, result: Any) -> Result:
    """Let the result go over the wire and back, and return it as it was."""
    if not isinstance(result, spec.result):
        raise TypeError(
            f"{spec.name!r} answered {type(result).__name__}, not {spec.result.__name__}"
        )
    wire = result.to_wire()
    try:
        same = spec.result.model_validate(wire).to_wire() == wire
    except ValidationError as error:
        raise TypeError(f"The result of {spec.name!r} cannot be read back: {error}") from error
    if not same:
        raise TypeError(f"The result of {spec.name!r} changes on its way over the wire")
    return result
