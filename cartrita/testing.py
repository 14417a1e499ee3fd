"""Runs one task of an agent in a test, without the rest of the system."""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Self

from pydantic import ValidationError

from cartrita.catalog import Catalog
from cartrita.clock import SystemClock, new_id
from cartrita.context import Context, Use
from cartrita.declare import Agent, Result, TaskSpec
from cartrita.effects import Doubt, Finding, Register, State, from_json, to_json
from cartrita.errors import InvalidMessage, InvalidParameters, InvalidTaskType, TaskTimeout
from cartrita.protocol.task import TaskStatus
from cartrita.protocol.wire import WireModel, field_errors
from cartrita.services import Services
from cartrita.stream import Incoming, Said, last_of
from cartrita.threads import Threads


class Pieces:
    """A stream of pieces that are all there already; the `Incoming` of a test."""

    content_type: str | None = None

    def __init__(self, pieces: Iterable[Any]) -> None:
        self._pieces: Iterator[Any] = iter(pieces)

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> Any:
        """Return the next piece."""
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


Effects = MutableMapping[tuple[str, str], Finding]
"""A ledger of one task: name and key of each effect, and where it stands."""


class Acts:
    """The way to a ledger that a test gives and looks at.

    Args:
        agent: Whose probes are asked.
        spec: The task.
        ledger: What earlier attempts left; what becomes of each effect is written here.
    """

    def __init__(self, agent: Agent, spec: TaskSpec, ledger: Effects, context: Context) -> None:
        self._agent, self._ledger, self._context = agent, ledger, context
        self._register = Register(spec.name, spec.effects)

    async def begin(self, name: str, key: str) -> Finding:
        """Let it begin, unless something else is known."""
        self._register.enter(name, key)
        found = self._ledger.get((name, key), Finding.not_done())
        if found.state is State.NOT_DONE:
            found = self._ledger[name, key] = Finding(State.BEGUN)
        elif found.state is State.BEGUN:  # by an attempt before
            found = Finding.unknown()
        self._register.note(name, key, found.state)
        return found

    async def end(self, name: str, key: str, finding: Finding) -> Finding:
        """Write down what became of it, as the ledger keeps it."""
        self.tell(name, key, finding)
        return self._ledger[name, key]

    def tell(self, name: str, key: str, finding: Finding) -> None:
        """Write it down."""
        self._register.note(name, key, finding.state)
        self._ledger[name, key] = Finding(finding.state, from_json(to_json(finding.result)))

    async def probe(self, doubt: Doubt) -> Finding:
        """Ask the agent's own probe."""
        method = self._agent.spec.probes.get(doubt.name)
        if method is None:
            return Finding.unknown()
        found: Finding = await getattr(self._agent, method)(doubt, self._context)
        return found


class Bench:
    """The reach of an attempt in a test: others' answers are given, what it says is kept.

    Args:
        agent: The agent.
        spec: The task.
        calls: Task type to result, or to a function of the parameters that returns or raises.
        emitted: What was said is appended here, one by one as the task said it.
        chunks: What is fed into the task.
        effects: What earlier attempts left in the ledger, and then what this one did.
    """

    def __init__(
        self,
        agent: Agent,
        spec: TaskSpec,
        calls: Mapping[str, Any],
        emitted: list[Said],
        chunks: Iterable[Any],
        effects: Effects,
    ) -> None:
        self._agent, self._spec, self._calls = agent, spec, calls
        self._emitted, self._chunks, self._effects = emitted, chunks, effects
        self.threads = Threads(keep=0)
        self.used = self.waits = False
        self.idles = 0
        self._acts: Acts | None = None

    def acting(self, context: Context) -> Acts:
        """Return the way to the test's ledger."""
        self.used = True
        if self._acts is None:
            self._acts = Acts(self._agent, self._spec, self._effects, context)
        return self._acts

    async def say(self, item: Said) -> None:
        """Keep it."""
        self.used = True
        self._emitted.append(item)

    def note(self, use: Use) -> None:
        """Keep nothing: what a test wants to see is in `usages`."""

    async def call(
        self,
        task_type: str,
        params: dict[str, Any],
        timeout: float | None,
        priority: int | None,
        *,
        relay: bool = False,
    ) -> dict[str, Any]:
        """Return what the test gave."""
        self.used = True
        if task_type not in self._calls:
            raise InvalidTaskType(f"This test gives no answer of {task_type!r}; see `calls`.")
        answer = self._calls[task_type]
        if callable(answer):
            answer = answer(params)
        if isinstance(answer, Awaitable):
            answer = await answer
        result = answer.to_wire() if isinstance(answer, WireModel) else answer
        return {"taskId": new_id(), "status": TaskStatus.COMPLETED.value, "result": result}

    def idle(self, *, waits: bool) -> None:
        """Keep it: how often the task began to wait, and whether it does."""
        self.used = True
        self.idles += waits
        self.waits = waits

    def incoming(self) -> Incoming:
        """Return the chunks."""
        if not self._spec.takes_stream:
            raise InvalidMessage(f"{self._spec.name!r} takes no stream; see `takes_stream`.")
        return Pieces(self._chunks)


async def run_task(  # noqa: PLR0913 - each is one thing a test may want to give
    agent: type[Agent],
    task_type: str,
    params: Mapping[str, Any],
    providers: Mapping[Any, object] | None = None,
    *,
    calls: Mapping[str, Any] | None = None,
    emitted: list[Said] | None = None,
    chunks: Iterable[Any] = (),
    effects: Effects | None = None,
    inner: bool = False,
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
        calls: What other agents answer to `ctx.call`: task type to result (wire form or model),
            or to a function of the parameters that returns that, or raises.
        emitted: A list to which everything is appended that the task says before its result.
        chunks: What is fed into a task that takes a stream.
        effects: What earlier attempts left in the ledger; afterwards also what this one did.
        inner: Another agent calls for it, who may call for a hidden one.
        context: Fields of `Context`, such as `principal` or `session_id`. Pass lists as
            `warnings` and `usages` to see afterwards what the task reported.

    Raises:
        InvalidTaskType: The agent does not declare the task.
        InvalidParameters: The parameters do not fit its model.
        ConfigurationInvalid: A port has no provider.
        TaskTimeout: The task took longer than it declares.
        TypeError: The result is not what the task declares.
    """
    spec = Catalog.of([agent]).task(task_type, inner=inner)
    services = Services({port: _giving(made) for port, made in (providers or {}).items()})
    instance = await services.build(agent)
    said, ledger = [] if emitted is None else emitted, {} if effects is None else effects
    bench = Bench(instance, spec, calls or {}, said, chunks, ledger)
    ctx = _context(spec, {"reach": bench} | context)
    try:
        async with asyncio.timeout(ctx.remaining()):
            begun = getattr(instance, spec.method)(_parse(spec, params), ctx)
            result = await (last_of(begun, spec.result, ctx.say) if spec.streams else begun)
            for act in ctx.after:
                await act()
    except TimeoutError as error:
        raise TaskTimeout(f"{spec.name!r} took longer than {spec.timeout:g} s.") from error
    finally:
        ctx.close()
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
