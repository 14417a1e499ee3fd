"""What an agent knows about the task it is running."""

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from pydantic import ValidationError

from cartrita.clock import Clock, SystemClock
from cartrita.effects import Acting, Effect
from cartrita.errors import AgentFailed, CartritaError, InternalFailure, TaskTimeout
from cartrita.privacy.masking import Masker
from cartrita.protocol.principal import SYSTEM, Principal
from cartrita.protocol.task import NO_PREFERENCES, Budget, Preferences, TaskStatus
from cartrita.protocol.wire import WireModel
from cartrita.stream import Incoming, Progress, Said, Token, ToolUse
from cartrita.threads import Piece, Threads, stopped_here

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=WireModel)

LONGEST_WAIT = 86_400.0
"""Seconds; asyncio's timers know no infinity."""

MOST_TOKENS = 10**15
MOST_USD = Decimal(10**9)
"""More than this in one use is a defect of whoever counts."""


@dataclass(frozen=True, slots=True)
class Usage:
    """One metered use of a model.

    Attributes:
        model: As the provider names it.
        tokens_in: Prompt tokens.
        tokens_out: Completion tokens.
        usd: What it cost.
        seconds: How long it took.
        failed: It ended in an error, and nobody told what it used.
    """

    model: str
    tokens_in: int = 0
    tokens_out: int = 0
    usd: Decimal = Decimal(0)
    seconds: float = 0.0
    failed: bool = False

    def __post_init__(self) -> None:
        counts = all(0 <= n <= MOST_TOKENS for n in (self.tokens_in, self.tokens_out))
        if not (counts and self.usd.is_finite() and 0 <= self.usd <= MOST_USD):
            raise ValueError(f"Nobody can be charged for {self!r}")


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One run of a tool.

    Attributes:
        input: What it was given.
        output: What it answered; a story keeps the beginning.
        seconds: How long it took.
        failed: It ended in an error.
    """

    name: str
    input: Any
    output: str = ""
    seconds: float = 0.0
    failed: bool = False


Use = Usage | ToolRun
"""What the story of a task tells of its work, though readers of its events are not shown it."""


class Reach(Protocol):
    """How an attempt acts beyond its own process; its host gives it."""

    @property
    def threads(self) -> Threads:
        """Where its blocking work runs."""

    @property
    def used(self) -> bool:
        """Whether it has said something, called for something, or had effects."""

    async def say(self, item: Said) -> None:
        """Tell whoever reads the task's events; waits while they cannot keep up."""

    def note(self, use: Use) -> None:
        """Have something kept in the task's story. Never waits and never fails."""

    async def call(
        self,
        task_type: str,
        params: dict[str, Any],
        timeout: float | None,
        priority: int | None,
        *,
        relay: bool = False,
    ) -> dict[str, Any]:
        """Run a sub-task and return its TaskResponse in wire form."""

    def incoming(self) -> Incoming:
        """Return the stream that comes in."""

    def acting(self, context: "Context") -> Acting:
        """Return the way to the effect ledger."""

    def idle(self, *, waits: bool) -> None:
        """Give the attempt's place back while it waits, and take it again."""


@dataclass(slots=True)
class Context:
    """One attempt of one task. Lives in the worker, for as long as the attempt.

    Attributes:
        repeatable: Whether work that had begun may begin again.
        deadline: In the clock's monotonic seconds.
        attempt: 1 for the first.
        root: The first of the tasks that try this one again; None for itself.
        trace: The W3C `traceparent` this attempt belongs to.
        pressure: How full the fullest budget above it was when a supervisor took it, 0 to 1.
        privacy: What takes personal data out of what leaves; it keeps the true values.
        complaint: What was wrong with the answer before, where the task answers a second time.
        storable: Whether its answer may be given to others; not one for now or for one caller.
        after: What is to be done once the answer passed the gate, in order.
        given: Set where a cache gave the result: then it costs nothing.
        reach: None in a context that was made by hand: nobody hears what it says.
    """

    task_id: str
    task_type: str = ""
    principal: Principal = SYSTEM
    session_id: str | None = None
    deadline: float = float("inf")
    repeatable: bool = True
    attempt: int = 1
    root: str | None = None
    trace: str | None = None
    budget: Budget | None = None
    pressure: float = 0.0
    preferences: Preferences = NO_PREFERENCES
    metadata: dict[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    warnings: list[str] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    privacy: Masker = field(default_factory=Masker, repr=False)
    complaint: str | None = None
    storable: bool = True
    after: list[Callable[[], Awaitable[None]]] = field(default_factory=list, repr=False)
    given: bool = False
    reach: Reach | None = field(default=None, repr=False)
    _over: threading.Event | None = field(default=None, init=False, repr=False, compare=False)
    _ended: bool = field(default=False, init=False, repr=False, compare=False)
    _pieces: set[Piece] | None = field(default=None, init=False, repr=False, compare=False)

    def remaining(self) -> float:
        """Return the seconds left before the deadline.

        Raises:
            TaskTimeout: There are none.
        """
        left = self.deadline - self.clock.monotonic()
        if left <= 0:
            raise TaskTimeout(f"Task {self.task_id!r} ran into its deadline.")
        return left

    def warn(self, text: str) -> None:
        """Tell the caller something that does not make the task fail."""
        self.warnings.append(text)

    def spent(self, usage: Usage) -> None:
        """Meter one use of a model, and keep it in the task's story."""
        self.usages.append(usage)
        self.note(usage)

    def note(self, use: Use) -> None:
        """Keep something in the task's story that nobody is charged for, or shown as it happens."""
        if self.reach is not None:
            self.reach.note(use)

    def measure(self, name: str, value: float) -> None:
        """Report a finite number under `metrics.customMetrics`."""
        if not math.isfinite(value):
            raise ValueError(f"The measure {name!r} is {value!r}; JSON has no form for that")
        self.measures[name] = value

    @property
    def used(self) -> bool:
        """Whether anybody outside has noticed this attempt: then it cannot be begun anew."""
        return self.reach is not None and self.reach.used

    async def say(self, item: Said) -> None:
        """Show something to those who follow the task; waits while they cannot keep up."""
        if self.reach is not None:
            await self.reach.say(item)

    async def token(self, text: str) -> None:
        """Show a piece of the text that is being written."""
        await self.say(Token(text))

    async def progress(self, fraction: float | None = None, text: str | None = None) -> None:
        """Show how far the work is; `fraction` is from 0 to 1."""
        await self.say(Progress(fraction, text))

    async def tool(self, name: str, input: Any, output: Any = None) -> None:  # noqa: A002
        """Show the use of a tool; `input` and `output` are plain values."""
        await self.say(ToolUse(name, input, output))

    def incoming(self) -> Incoming:
        """Return the stream that is fed into this task: bytes or plain values, to its end.

        Reading raises `TaskTimeout` with the reason `STREAM_IDLE` when nothing comes for as
        long as the task's `idle_timeout`.

        Raises:
            InvalidMessage: The task does not declare `takes_stream`.
        """
        return self._beyond("read a stream").incoming()

    @overload
    async def call(
        self,
        task_type: str,
        params: Mapping[str, Any] | WireModel,
        *,
        timeout: float | None = None,
        priority: int | None = None,
        relay: bool = False,
    ) -> dict[str, Any]: ...

    @overload
    async def call(
        self,
        task_type: str,
        params: Mapping[str, Any] | WireModel,
        *,
        timeout: float | None = None,
        priority: int | None = None,
        into: type[M],
        relay: bool = False,
    ) -> M: ...

    async def call(
        self,
        task_type: str,
        params: Mapping[str, Any] | WireModel,
        *,
        timeout: float | None = None,
        priority: int | None = None,
        into: type[M] | None = None,
        relay: bool = False,
    ) -> dict[str, Any] | M:
        """Run another agent's task as a part of this one and return its result.

        It is accepted, journaled and paid as any task is, for the same principal. Leaving the
        call does not cancel it; this task's end does.

        Args:
            task_type: By name or alias.
            params: As a client writes them, or the other agent's own model.
            timeout: Seconds; the type's own by default, and never past our deadline.
            priority: 0-10; one more than our own by default.
            into: The model to read the result as.
            relay: Show the text that it writes as ours, while it does.

        Raises:
            CartritaError: What the sub-task ended with, or why it was not accepted.
            ResourceLimitExceeded: Too many calls are under way.
        """
        plain = params.to_wire() if isinstance(params, WireModel) else dict(params)
        reach = self._beyond("call other agents")
        response = await reach.call(task_type, plain, timeout, priority, relay=relay)
        result = result_of(response, task_type)
        if into is None:
            return result
        try:
            return into.model_validate(result)
        except ValidationError as error:
            raise AgentFailed(f"{task_type!r} did not answer a {into.__name__}: {error}") from error

    def _beyond(self, what: str) -> Reach:
        if self.reach is None:
            raise InternalFailure(f"A context without a host cannot {what}; see `run_task`.")
        return self.reach

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Return a block in which the task only waits, for a person, and holds no place."""
        reach = self._beyond("wait for people")
        reach.idle(waits=True)
        try:
            yield
        finally:
            reach.idle(waits=False)

    def effect(self, name: str, *, key: str) -> Effect:
        """Return a block in which this task does something to the outside world, once.

            async with ctx.effect("email", key=params.to) as effect:
                receipt = await effect.once(self._mail.send, params.to, params.text, effect.id)

        Whichever attempt, host or supervisor runs the task: what came of it is kept, and given
        back instead of doing it again. What the block ends with tells what happened; see
        `Effect`. Each name and key may stand in a task once, so what tells two effects apart
        belongs into the key.

        Args:
            name: One of the task's declared `effects`.
            key: Tells it from others of that name in this task, whichever attempt computes it.

        Raises:
            ValueError: That is no key.
            AgentFailed: On entering: the task does not declare it, or it stood here before.
            OutcomeUnknown: On entering: an earlier attempt began it, and nobody can tell how that
                ended.
        """
        acting = self._beyond("have effects").acting(self)
        return Effect(self.root or self.task_id, name, key, acting)

    @property
    def cancelled(self) -> threading.Event:
        """What long blocking work looks at between its pieces; set when it should end.

        Read in a thread of `in_thread`, it is that piece of work's own; anywhere else it is
        the attempt's, which is set when the attempt is over.
        """
        here = stopped_here()
        if here is not None:
            return here
        with _MAKING:
            if self._over is None:
                self._over = threading.Event()
        if self._ended:  # looked at last, as `close` sets it first: one of both sees the other
            self._over.set()
        return self._over

    async def in_thread(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking `work` off the event loop, at most until the deadline.

        When the task is cancelled or its deadline passes, this ends at once, and an exception
        that is no `Exception` is raised in the thread. Work that spends long in one call of C
        code, which that cannot reach, should come in pieces and look at `cancelled` between
        them, or the agent needs a host of its own. Waiting for a free thread counts.

        Raises:
            TaskTimeout: The deadline passed first.
        """
        if self._pieces is None:
            self._pieces = set()
        threads = self.reach.threads if self.reach is not None else Threads(keep=0)
        try:
            async with asyncio.timeout(min(self.remaining(), LONGEST_WAIT)) as limit:
                return await threads.run(partial(work, *args, **kwargs), self._pieces)
        except TimeoutError:
            if not limit.expired():
                raise  # the work's own
            raise TaskTimeout(f"Task {self.task_id!r} ran into its deadline.") from None

    def close(self) -> None:
        """End what the attempt left running in threads; its host calls this."""
        self._ended = True
        if self._over is not None:
            self._over.set()
        if self._pieces:
            for piece in tuple(self._pieces):
                piece.stop()


_MAKING = threading.Lock()


def result_of(response: dict[str, Any], task_type: str) -> dict[str, Any]:
    """Return the result that a TaskResponse tells.

    Raises:
        CartritaError: The error that it tells, naming the task.
    """
    if response["status"] == TaskStatus.COMPLETED:
        result: dict[str, Any] = response.get("result") or {}
        return result
    kinds = {str(kind.code): kind for kind in CartritaError.__subclasses__()}
    kind = kinds.get(str(response.get("errorCode")), AgentFailed)
    raise kind(
        f"The sub-task {response.get('taskId')!r} ({task_type}) ended {response['status']}: "
        f"{response.get('errorMessage') or 'it does not say why.'}",
        response.get("reason"),
    )
