"""How an agent says what it can do: one class, one decorator."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import Field

from cartrita.context import Context
from cartrita.cost.price import Price, free
from cartrita.effects import Doubt, Finding, check_declared
from cartrita.protocol.answer import Cacheable, Gate
from cartrita.protocol.carrier import Carrier
from cartrita.protocol.task import Delivery
from cartrita.protocol.wire import WireModel
from cartrita.stream import Said

Team = Literal["intelligence", "multimodal", "system"]
TEAMS: tuple[Team, ...] = ("intelligence", "multimodal", "system")
Restart = Literal["permanent", "transient", "temporary"]


class Params(WireModel):
    """What a task takes. Subclass it per task."""


class Result(WireModel):
    """What a task answers. Subclass it per task."""


class ModelResult(Result):
    """A result that a model made, saying which one and what it cannot do."""

    model: str = Field(description="Built-in models begin with `local/`.")
    provider: str = Field(description="`embedded`, `openai`, `huggingface`, …")
    generative: bool = Field(description="Whether the model writes text of its own.")
    limitations: list[str] | None = Field(default=None, description="What not to rely on.")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a worker of an agent needs.

    Attributes:
        cpus: Logical CPUs that Ray reserves for its host.
        memory_mb: Memory that Ray reserves for its host; 0 reserves none.
        isolation: `shared` lives in one host process with the team's other light agents;
            `own` has a host to itself (torch, native code, whatever may crash or block).
    """

    cpus: float = 0.0
    memory_mb: int = 0
    isolation: Literal["shared", "own"] = "shared"

    def __post_init__(self) -> None:
        if self.cpus < 0 or self.memory_mb < 0 or self.isolation not in ("shared", "own"):
            raise TypeError(f"cpus and memory_mb are >= 0, isolation shared or own, not {self!r}")


Method = TypeVar("Method", bound=Callable[..., Awaitable[Any] | AsyncIterator[Any]])

IDLE_TIMEOUT = 30.0
"""Seconds that a task which takes a stream waits for its next piece, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What `@task` attaches to a method."""

    name: str
    cost: Price
    timeout: float
    idempotent: bool
    max_attempts: int
    aliases: tuple[str, ...]
    example: dict[str, Any] | None
    takes_stream: bool
    idle_timeout: float
    effects: tuple[str, ...]
    hidden: bool
    cacheable: Cacheable | None
    gate: Gate | None


def task(  # noqa: PLR0913 - each is one declared fact
    name: str,
    *,
    cost: Price | None = None,
    timeout: float = 30.0,
    idempotent: bool = False,
    max_attempts: int = 3,
    aliases: tuple[str, ...] = (),
    example: dict[str, Any] | None = None,
    takes_stream: bool = False,
    idle_timeout: float | None = None,
    effects: tuple[str, ...] = (),
    hidden: bool = False,
    cacheable: bool | float | Cacheable = False,
    gate: Gate | None = None,
) -> Callable[[Method], Method]:
    """Declare that a method does the work of a task type.

    The method is a coroutine, or an async generator that yields `Token`, `Progress` and
    `ToolUse` while it works and its result in the end.

    Args:
        name: The public task type.
        cost: What a run costs; free by default.
        timeout: Seconds from acceptance to the end, unless the caller says otherwise.
        idempotent: Whether running it twice is as good as once; decides the default
            delivery guarantee.
        max_attempts: How often it may be started, crashes included.
        aliases: Older names that mean the same.
        example: Parameters that work, shown in the catalogue and run by the tests.
        takes_stream: Whether something is fed into it while it runs (`ctx.incoming()`). What
            was fed is gone once it is read, so such a task cannot be idempotent.
        idle_timeout: Seconds it waits for the next piece of that; 30 by default.
        effects: The kinds of effects that it has on the outside world, all of them through
            `ctx.effect`. Such a task is delivered exactly once by default: after a crash it
            runs again and finds what happened.
        hidden: It is not for callers, and not in the catalogue: it does the work of other task
            types, whose agents call for it.
        cacheable: Whether, or for how many seconds, its answer may be given again to others of
            the tenant who ask the same. Such a task is idempotent and depends on its parameters
            alone; where it does not, it sets `ctx.storable` to False.
        gate: What its answer must be beyond what its model says.
    """
    if timeout <= 0 or max_attempts < 1:
        raise TypeError(f"{name!r} needs timeout > 0 and max_attempts >= 1")
    if takes_stream and idempotent:
        raise TypeError(f"{name!r} takes a stream, which cannot be read twice: not idempotent")
    if idle_timeout is not None and not (takes_stream and idle_timeout > 0):
        raise TypeError(f"{name!r}: idle_timeout > 0 is for a task that takes a stream")
    check_declared(name, effects, idempotent=idempotent)
    kept = Cacheable.of(cacheable)
    if kept and not idempotent:
        raise TypeError(f"{name!r} is cacheable, so it must be idempotent")
    repeats = (idempotent, max_attempts, aliases, example)
    stream = (takes_stream, idle_timeout or IDLE_TIMEOUT)
    declaration = Declaration(
        name, cost or free(), timeout, *repeats, *stream, effects, hidden, kept, gate
    )

    def attach(method: Method) -> Method:
        method.__cartrita_task__ = declaration  # type: ignore[attr-defined]
        return method

    return attach


Probe = TypeVar("Probe", bound=Callable[..., Awaitable[Finding]])


def probe(effect: str) -> Callable[[Probe], Probe]:
    """Declare that a method can tell whether an effect of its agent's tasks happened.

    It is asked when an earlier attempt had begun the effect and nobody knows how that ended:
    `async def sent(self, doubt: Doubt, ctx: Context) -> Finding`. It may only answer
    `Finding.not_done()` when what was begun before certainly has no effect any more; where it
    cannot tell, or fails, the effect stays unknown and a person decides.

    Args:
        effect: As the tasks declare it.
    """

    def attach(method: Probe) -> Probe:
        method.__cartrita_probe__ = effect  # type: ignore[attr-defined]
        return method

    return attach


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One task type: everything anybody needs to know about it.

    Attributes:
        streams: Whether it is an async generator, which says things before its result.
        takes_stream: Whether something is fed into it while it runs.
        idle_timeout: Seconds it waits for the next piece of that.
        effects: What it does to the outside world, all of it through the ledger.
        hidden: Callers cannot ask for it.
        carrier: What does its work, where its own agent's class does not.
        cacheable: For how long, and how, its answers may be given again.
        gate: What its answers must be beyond their model.
    """

    name: str
    agent: str
    team: Team
    method: str
    params: type[Params]
    result: type[Result]
    summary: str
    cost: Price
    timeout: float
    idempotent: bool
    max_attempts: int
    aliases: tuple[str, ...]
    example: dict[str, Any] | None
    streams: bool = False
    takes_stream: bool = False
    idle_timeout: float = IDLE_TIMEOUT
    effects: tuple[str, ...] = ()
    hidden: bool = False
    carrier: Carrier | None = None
    cacheable: Cacheable | None = None
    gate: Gate | None = None

    @property
    def safe(self) -> bool:
        """Whether running it again does no harm."""
        return self.idempotent or bool(self.effects)

    @property
    def delivery(self) -> Delivery:
        """What is guaranteed where the caller does not choose."""
        if self.effects:
            return Delivery.EXACTLY_ONCE
        return Delivery.AT_LEAST_ONCE if self.idempotent else Delivery.AT_MOST_ONCE


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent: where it runs, how many, and what it can do.

    Attributes:
        probes: The method that can tell of each effect, where there is one.
    """

    name: str
    team: Team
    summary: str
    needs: Needs
    pool: tuple[int, int]
    concurrency: int
    restart: Restart
    intensity: int
    period: float
    tasks: tuple[TaskSpec, ...]
    cls: type["Agent"]
    probes: dict[str, str]


class Agent:
    """The base of every agent. Subclass it in a file of its own.

    Class options:
        team: The supervisor it works under.
        needs: What its worker needs.
        pool: Fewest and most hosts.
        concurrency: Tasks one worker runs at a time.
        restart, intensity, period: OTP's words; more than `intensity` restarts within
            `period` seconds, and the supervisor gives up on the agent.

    The constructor's annotations name the ports it needs (`web: WebSearch`); they are
    filled from the settings when a worker starts.
    """

    spec: ClassVar[AgentSpec]

    def __init_subclass__(  # noqa: PLR0913 - each is one declared fact
        cls,
        *,
        team: Team,
        needs: Needs = Needs(),
        pool: tuple[int, int] = (1, 4),
        concurrency: int = 16,
        restart: Restart = "permanent",
        intensity: int = 5,
        period: float = 10.0,
    ) -> None:
        """Read the declarations of a new agent class into its `spec`."""
        super().__init_subclass__()
        if team not in TEAMS:
            raise TypeError(f"{cls.__name__}: team must be one of {TEAMS}, not {team!r}")
        if not 0 <= pool[0] <= pool[1] or pool[1] < 1 or concurrency < 1:
            raise TypeError(f"{cls.__name__}: needs 0 <= min <= max, max and concurrency >= 1")
        if restart not in get_args(Restart) or intensity < 0 or period <= 0:
            raise TypeError(
                f"{cls.__name__}: restart must be one of {get_args(Restart)}, intensity >= 0 and "
                f"period > 0, not {restart!r}, {intensity!r} and {period!r}"
            )
        name = cls.__name__.lower()
        tasks = tuple(_task_specs(cls, name, team))
        cls.spec = AgentSpec(
            name=name,
            team=team,
            summary=_first_line(cls),
            needs=needs,
            pool=pool,
            concurrency=concurrency,
            restart=restart,
            intensity=intensity,
            period=period,
            tasks=tasks,
            cls=cls,
            probes=_probes(cls, {effect for spec in tasks for effect in spec.effects}),
        )


def _first_line(thing: object) -> str:
    """Return the summary line of a docstring, which every declaration must have."""
    doc = inspect.getdoc(thing)
    if not doc:
        raise TypeError(f"{thing!r} needs a docstring: its first line is public documentation")
    return doc.splitlines()[0]


def _task_specs(cls: type[Agent], agent: str, team: Team) -> list[TaskSpec]:
    specs = []
    for attribute, method in vars(cls).items():
        declared: Declaration | None = getattr(method, "__cartrita_task__", None)
        if declared is None:
            continue
        params, result = _signature(f"{cls.__name__}.{attribute}", method)
        facts = {one.name: getattr(declared, one.name) for one in fields(declared)}
        specs.append(
            TaskSpec(
                **facts,
                agent=agent,
                team=team,
                method=attribute,
                params=params,
                result=result,
                summary=_first_line(method),
                streams=inspect.isasyncgenfunction(method),
            )
        )
    if not specs:
        raise TypeError(f"{cls.__name__} declares no task: decorate a method with @task")
    return specs


def _probes(cls: type[Agent], effects: set[str]) -> dict[str, str]:
    """Return which method can tell of which effect."""
    found: dict[str, str] = {}
    for attribute, method in vars(cls).items():
        effect: str | None = getattr(method, "__cartrita_probe__", None)
        if effect is None:
            continue
        where = f"{cls.__name__}.{attribute}"
        if effect not in effects:
            raise TypeError(f"{where} probes {effect!r}, which no task of its agent declares")
        if effect in found:
            raise TypeError(f"{where} is a second probe of {effect!r}")
        hints = get_type_hints(method) if inspect.iscoroutinefunction(method) else {}
        kinds = [hints.get(key) for key in ("doubt", "ctx", "return")]
        if kinds != [Doubt, Context, Finding]:
            raise TypeError(f"{where} must be `async def (doubt: Doubt, ctx: Context) -> Finding`")
        found[effect] = attribute
    return found


def _signature(where: str, method: Any) -> tuple[type[Params], type[Result]]:
    """Return what a task method takes and answers.

    Raises:
        TypeError: Its annotations do not say.
    """
    hints = get_type_hints(method)
    for key, kind in (("params", Params), ("ctx", Context)):
        if not _is(hints.get(key), kind):
            raise TypeError(f"{where}: annotate {key!r} with a subclass of {kind.__name__}")
    answer: Any = hints.get("return")
    if inspect.isasyncgenfunction(method):
        answer = _yielded(where, answer)
    elif not inspect.iscoroutinefunction(method):
        raise TypeError(f"{where} must be a coroutine function or an async generator")
    if not _is(answer, Result):
        raise TypeError(f"{where}: annotate 'return' with a subclass of Result")
    return hints["params"], answer


def _is(hint: Any, kind: type) -> bool:
    return isinstance(hint, type) and issubclass(hint, kind)


_ITERATORS = (AsyncIterator, AsyncGenerator, AsyncIterable)
_SAID = get_args(Said)


def _yielded(where: str, hint: Any) -> Any:
    """Return the one result type among what a streaming task says it yields."""
    items = get_args(hint) if get_origin(hint) in _ITERATORS else ()
    union = items and get_origin(items[0]) in (Union, UnionType)
    kinds = get_args(items[0]) if union else items[:1]
    results = [kind for kind in kinds if kind not in _SAID]
    if len(results) != 1 or not _is(results[0], Result):
        raise TypeError(
            f"{where}: annotate 'return' with AsyncIterator[…] of exactly one subclass of Result, "
            "and of Token, Progress and ToolUse where it yields them"
        )
    return results[0]
