"""Effects on the outside world: each happens once, or it is said that nobody knows.

    async with ctx.effect("email", key=params.to) as effect:
        receipt = await effect.once(self._mail.send, params.to, params.text, effect.id)
    return Sent(receipt=receipt)

Before the block begins, the ledger holds that it may; before what follows the block begins, it
holds that it happened and what came of it. Whoever runs the task again finds that there.
"""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar

from cartrita.clock import derived_id
from cartrita.errors import AgentFailed, NotDone, OutcomeUnknown, ResourceLimitExceeded

P = ParamSpec("P")
T = TypeVar("T")

NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
"""What an effect may be called."""

LONGEST_KEY = 512
"""Characters."""

LARGEST_RESULT = 64 * 1024
"""Bytes of JSON that an effect may leave in the ledger."""


class State(StrEnum):
    """Where an effect stands. Three of them are ends; `BEGUN` means that an attempt is at it."""

    BEGUN = "begun"
    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the ledger, a probe or a person says of an effect.

    Attributes:
        result: What came of one that is done; plain JSON values.
    """

    state: State
    result: Any = None

    @classmethod
    def done(cls, result: Any = None) -> Self:
        """It happened."""
        return cls(State.DONE, result)

    @classmethod
    def not_done(cls) -> Self:
        """It did not happen, and will not any more by what was begun before."""
        return cls(State.NOT_DONE)

    @classmethod
    def unknown(cls) -> Self:
        """Nobody can tell."""
        return cls(State.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Doubt:
    """An effect of which a probe is asked whether it happened.

    Attributes:
        id: What the outside world was given as the idempotency key.
    """

    id: str
    name: str
    key: str


class Acting(Protocol):
    """How an attempt reaches the ledger; the host of the attempt gives it."""

    async def begin(self, name: str, key: str) -> Finding:
        """Write down that an effect is about to happen, unless something else is known of it."""

    async def end(self, name: str, key: str, finding: Finding) -> Finding:
        """Write down what became of an effect, and return what stands."""

    def tell(self, name: str, key: str, finding: Finding) -> None:
        """Have written down what became of an effect, without waiting for it."""

    async def probe(self, doubt: Doubt) -> Finding:
        """Ask the agent's own probe."""


class Register:
    """The effects of one attempt, each once, as far as the attempt knows.

    Args:
        task_type: For whoever is told.
        declared: The names that its declaration has.
    """

    def __init__(self, task_type: str, declared: tuple[str, ...]) -> None:
        self._task_type, self._declared = task_type, declared
        self._states: dict[tuple[str, str], State] = {}

    def enter(self, name: str, key: str) -> None:
        """Add an effect that is to begin; one that certainly was not done may begin again.

        Raises:
            AgentFailed: It is not declared, or stood here before.
        """
        task = f"The task {self._task_type!r}"
        if name not in self._declared:
            raise AgentFailed(f"{task} does not declare the effect {name!r}: @task(effects=…).")
        if self._states.get((name, key), State.NOT_DONE) is not State.NOT_DONE:
            raise AgentFailed(
                f"{task} has the effect {name!r} with the key {key!r} twice: what tells them "
                "apart belongs into the key."
            )
        self.note(name, key, State.BEGUN)

    def note(self, name: str, key: str, state: State) -> None:
        """Note where an effect stands."""
        self._states[name, key] = state

    def state(self, name: str, key: str) -> State:
        """Return where an effect stands."""
        return self._states[name, key]


def effect_id(root: str, name: str, key: str) -> str:
    """Return the id of an effect, which every attempt at the same work computes alike.

    Args:
        root: The task, or the first of those that try it again.
        name: The kind of effect.
        key: Tells it from others of its kind in the same task.
    """
    return derived_id(root, f"effect/{name}/{key}")


def checked_key(key: str) -> str:
    """Return the key of an effect.

    Raises:
        ValueError: It is none: too long, empty, or not printable.
    """
    if not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
        raise ValueError(f"The key of an effect is 1 to {LONGEST_KEY} printable characters.")
    return key


def to_json(result: Any) -> str:
    """Write what came of an effect as the ledger keeps it.

    Raises:
        ResourceLimitExceeded: It is too large.
        TypeError, ValueError: It is not made of plain JSON values.
    """
    text = json.dumps(result, allow_nan=False)
    if len(text) > LARGEST_RESULT:
        raise ResourceLimitExceeded(
            f"The result of an effect takes {len(text)} bytes; the ledger keeps {LARGEST_RESULT}."
        )
    return text


def from_json(text: str) -> Any:
    """Read what `to_json` wrote."""
    return json.loads(text)


class Effect:
    """One effect of one attempt, for as long as its block.

    What the block ends with says what became of it. It ended well: done. `not_done()` was
    called, or it raised `NotDone`: not done, and it may be tried again. Anything else, a death
    included: unknown, unless `once` had come back.

    Attributes:
        id: Always the same for this effect of this task: give it to the outside world as the
            idempotency key.
        result: What came of it, now or in an earlier attempt; plain JSON values.
    """

    __slots__ = ("_acting", "_asked", "_happened", "_known", "id", "key", "name", "result")

    def __init__(self, root: str, name: str, key: str, acting: Acting) -> None:
        self.id = effect_id(root, name, checked_key(key))
        self.name, self.key = name, key
        self.result: Any = None
        self._acting = acting
        self._happened = self._asked = False
        self._known: State | None = None

    @property
    def happened(self) -> bool:
        """Whether an earlier attempt did it: then the block must not, and `result` is there."""
        self._asked = True
        return self._happened

    async def once(
        self, act: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T | Any:
        """Do it, unless an earlier attempt did; returns what came of it, then or now."""
        if self.happened:
            return self.result
        if self._known:
            raise AgentFailed(f"The effect {self.name!r} was done already in this block.")
        self.result = result = await act(*args, **kwargs)
        self._known = State.DONE
        return result

    def not_done(self) -> None:
        """Say that it did not happen, whatever the block ends with."""
        self._asked = True
        self._known = State.NOT_DONE

    async def __aenter__(self) -> Self:
        """Ask whether it may happen now.

        Raises:
            OutcomeUnknown: An earlier attempt had begun it, and nobody can tell how that ended.
        """
        found = await self._acting.begin(self.name, self.key)
        if found.state is State.UNKNOWN:
            found = await self._settled()
        self._happened, self.result = found.state is State.DONE, found.result
        return self

    async def _settled(self) -> Finding:
        """Have the agent's probe look, and write down what it finds."""
        found = await self._acting.probe(Doubt(self.id, self.name, self.key))
        if found.state is not State.UNKNOWN:
            found = await self._acting.end(self.name, self.key, _storable(found))
        if found.state is State.NOT_DONE:
            found = await self._acting.begin(self.name, self.key)
        if found.state is State.UNKNOWN:
            raise OutcomeUnknown(
                f"An earlier attempt began the effect {self.name!r} ({self.key!r}), and nobody "
                f"can tell how that ended. See `cartrita effects list`; its id is {self.id}."
            )
        return found

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write down what became of it.

        Raises:
            AgentFailed: The block never asked whether it happened before.
        """
        if self._happened:
            return
        if error is None:
            await self._close(self._known or State.DONE)
        elif self._known or isinstance(error, NotDone):
            # The error goes on at once: if this is lost on its way, nobody knows, and says so.
            finding = Finding(self._known or State.NOT_DONE)
            if finding.state is State.DONE:
                finding = _storable(Finding.done(self.result))
            self._acting.tell(self.name, self.key, finding)

    async def _close(self, state: State) -> None:
        done = state is State.DONE
        finding = Finding.done(self.result) if done else Finding(state)
        stands = await self._acting.end(self.name, self.key, _storable(finding))
        if stands.state is not state:
            raise OutcomeUnknown(
                f"The effect {self.name!r} ({self.key!r}) was {state.value}, and the ledger has "
                f"it as {stands.state.value} since: somebody else decided about it."
            )
        if done:
            to_json(self.result)  # what it cannot keep must not go unnoticed
            if not self._asked:
                raise AgentFailed(
                    f"The block of the effect {self.name!r} asks neither `once` nor `happened`, "
                    "so it would do it again in another attempt."
                )


def _storable(finding: Finding) -> Finding:
    """Leave out a result that the ledger cannot keep: that it happened counts for more."""
    try:
        to_json(finding.result)
    except (TypeError, ValueError, ResourceLimitExceeded):
        return Finding(finding.state)
    return finding


def check_declared(name: str, effects: tuple[str, ...], *, idempotent: bool) -> None:
    """Check what a task declares of its effects.

    Raises:
        TypeError: These are no names, or it is idempotent as well.
    """
    named = isinstance(effects, tuple) and all(NAME.fullmatch(effect) for effect in effects)
    if not named or len(set(effects)) < len(effects):
        raise TypeError(f"{name!r}: effects are names like ('email',), not {effects!r}")
    if effects and idempotent:
        raise TypeError(
            f"{name!r} has effects: what makes running it again safe is the ledger, so it is not "
            "idempotent"
        )
