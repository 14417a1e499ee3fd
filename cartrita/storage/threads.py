"""What agents keep between steps, and between turns: ports and their values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint of a graph.

    Attributes:
        id: Sorts by time within its thread and space.
        parent: The one before it.
        kind: How `data` is serialised.
        notes_kind: How `notes` is.
    """

    thread: str
    space: str
    id: str
    parent: str | None
    kind: str
    data: bytes
    notes_kind: str
    notes: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """What one step of a graph did on top of a checkpoint, before the next one was made.

    Attributes:
        place: Where it stands among the step's; below 0 for what is written over.
        path: Orders the steps.
    """

    task: str
    place: int
    channel: str
    kind: str
    data: bytes
    path: str


class Checkpoints(Protocol):
    """Checkpoints of graphs by thread; a thread is one piece of work, in whichever attempt.

    Raises `ServiceUnavailable` where it cannot be reached.
    """

    async def put(self, kept: Kept) -> None:
        """Keep a checkpoint; one of the same id is replaced."""

    async def write(self, thread: str, space: str, id: str, writes: Sequence[Write]) -> None:  # noqa: A002
        """Keep what was done on top of a checkpoint; what is there stays, unless below 0."""

    async def latest(
        self,
        thread: str,
        space: str,
        id: str | None = None,  # noqa: A002
    ) -> Kept | None:
        """Return a checkpoint, the last one by default."""

    async def writes(self, thread: str, space: str, id: str) -> list[Write]:  # noqa: A002
        """Return what was done on top of one, by path, step and place."""

    async def list(self, thread: str, space: str | None, limit: int) -> list[Kept]:
        """Return a thread's checkpoints, the last one first."""

    async def forget(self, thread: str) -> None:
        """Delete a thread, and whatever was left lying for longer than any task can take."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose conversation it is: nobody else can name it."""

    tenant: str
    user: str
    session: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A message of a conversation that is remembered.

    Attributes:
        number: Grows from turn to turn; 0 for one that is not kept yet.
        task: Which task said it: saying it again replaces it.
    """

    role: Literal["user", "assistant"]
    content: str
    task: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Recollection:
    """What is known of a conversation.

    Attributes:
        summary: Of what was said before the turns; empty when nothing was.
        turns: The rest, oldest first.
    """

    summary: str = ""
    turns: tuple[Turn, ...] = ()


class Conversations(Protocol):
    """Conversations by their owner. Raises `ServiceUnavailable` where it cannot be reached."""

    async def recall(self, owner: Owner) -> Recollection:
        """Return what is known."""

    async def add(self, owner: Owner, turns: Sequence[Turn]) -> None:
        """Remember turns, in order; those of a task that is known are replaced."""

    async def fold(self, owner: Owner, last: int, summary: str, before: str) -> None:
        """Put a summary in the place of all turns up to a number, and of the summary `before`.

        Where another summary stands there now, somebody folded meanwhile, and nothing is done.
        The turns stay in the history.
        """

    async def forget(self, owner: Owner) -> int:
        """Delete a conversation, its history too, and return how many turns it had."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message of somebody's history.

    Attributes:
        number: Its own for ever, growing.
        said_at: Unix seconds.
        opening: How its conversation began: the first `OPENING` characters.
    """

    number: int
    role: Literal["user", "assistant"]
    content: str
    said_at: float
    session: str
    opening: str


@dataclass(frozen=True, slots=True)
class Totals:
    """How much somebody said and was answered, and when, in Unix seconds."""

    asked: int = 0
    answered: int = 0
    first_at: float | None = None
    last_at: float | None = None


OPENING = 80
"""Characters of a conversation's beginning by which people know it again."""


class History(Protocol):
    """All that was said in somebody's conversations; nobody else's is ever seen.

    Raises `ServiceUnavailable` where it cannot be reached.
    """

    async def page(self, tenant: str, user: str, limit: int, offset: int) -> list[Said]:
        """Return the last messages, oldest first, leaving out `offset` of the very last."""

    async def totals(self, tenant: str, user: str) -> Totals:
        """Return how much there is."""

    async def clear(self, tenant: str, user: str) -> int:
        """Delete all of a user's conversations and return how many there were."""
