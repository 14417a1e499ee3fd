"""What users look things up in: entries, and pieces of them found by meaning and by words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

ContentType = Literal["text", "markdown", "code", "url", "file"]
SourceType = Literal["user_created", "imported", "ai_generated", "web_scraped"]
Order = Literal["created_at", "updated_at", "title", "importance_score"]


class Holder(NamedTuple):
    """Whose knowledge it is: nobody else can name it."""

    tenant: str
    user: str


@dataclass(frozen=True, slots=True)
class File:
    """What an entry came as: a name, a media type, and so many bytes."""

    name: str
    kind: str
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to look up.

    Attributes:
        content: All of it, or in lists the first `SHOWN` characters.
        importance: 0 to 1.
        digest: SHA-256 of the content, in hex.
        chunks: Pieces that it is found by.
        model: What made their vectors.
        created_at: Unix seconds.
        updated_at: Unix seconds.
    """

    id: UUID
    title: str
    content: str
    content_type: ContentType
    category: str
    subcategory: str | None
    tags: tuple[str, ...]
    importance: float
    source_type: SourceType
    source_url: str | None
    file: File | None
    digest: str
    chunks: int
    model: str
    created_at: float
    updated_at: float


SHOWN = 1_000
"""Characters of an entry that lists show."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an entry: the text from the character `start` on."""

    place: int
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece that was found, and how alike it is to what was asked, -1 to 1.

    Attributes:
        score: None where nothing was compared by meaning.
    """

    entry: Entry
    chunk: Chunk
    score: float | None


@dataclass(frozen=True, slots=True)
class Scope:
    """Which entries are searched or listed; None leaves a question open.

    Attributes:
        tags: All of these.
        ids: Any of these.
        files: Only what came as a file.
        words: In the title or the content, as they stand.
    """

    category: str | None = None
    content_type: str | None = None
    tags: tuple[str, ...] = ()
    ids: tuple[UUID, ...] | None = None
    files: bool = False
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """How much a holder has.

    Attributes:
        size: Characters of all entries.
        last_at: When something changed last, in Unix seconds.
    """

    entries: int = 0
    files: int = 0
    chunks: int = 0
    size: int = 0
    last_at: float | None = None


class Knowledge(Protocol):
    """Entries by their holder. Raises `ServiceUnavailable` where it cannot be reached."""

    async def put(
        self, holder: Holder, entry: Entry, chunks: Sequence[Chunk], vectors: Vector, most: int
    ) -> None:
        """Keep an entry with its pieces; one of the same id is replaced, but for `created_at`.

        Args:
            holder: Whose.
            entry: Its `model` made the vectors.
            chunks: In order.
            vectors: One row per piece, normalised.
            most: Pieces that the holder may have in all.

        Raises:
            ResourceLimitExceeded: They would be more.
        """

    async def amend(self, holder: Holder, entry: Entry) -> bool:
        """Replace what is told of an entry, but for content and title; False when there is none."""

    async def find(self, holder: Holder, entry_id: UUID) -> Entry | None:
        """Return an entry."""

    async def same(self, holder: Holder, digest: str) -> UUID | None:
        """Return the oldest entry with this content."""

    async def page(
        self, holder: Holder, scope: Scope, order: tuple[Order, bool], limit: int, offset: int
    ) -> tuple[list[Entry], int]:
        """Return entries with the beginning of their content, and how many there are in all.

        Args:
            holder: Whose.
            scope: Which.
            order: By what, and whether the last of it comes first.
            limit: How many at most.
            offset: How many to leave out.
        """

    async def remove(self, holder: Holder, entry_id: UUID) -> bool:
        """Delete an entry with its pieces; False when there is none."""

    async def clear(self, holder: Holder) -> int:
        """Delete all that a holder has and return how many entries that were."""

    async def by_meaning(
        self, holder: Holder, asked: Vector, model: str, scope: Scope, limit: int, least: float
    ) -> list[Piece]:
        """Return the pieces most like `asked`, best first, those at least so alike."""

    async def by_words(self, holder: Holder, query: str, scope: Scope, limit: int) -> list[Piece]:
        """Return the pieces that have all words of a query, those that have them most first.

        An entry's title belongs to each of its pieces.
        Words are compared as they stand, whatever their case; quoted ones must be neighbours,
        and `-` before one means without it.
        """

    async def foreign(self, holder: Holder, model: str) -> str | None:
        """Return another model whose vectors the holder has here, if there is one."""

    async def categories(self, holder: Holder) -> list[tuple[str, int]]:
        """Return the categories by name, and how many entries each has."""

    async def sums(self, holder: Holder) -> Sums:
        """Return how much there is."""

    async def middles(self, holder: Holder, model: str, limit: int) -> list[tuple[Entry, Vector]]:
        """Return the entries that changed last, each with the middle of its pieces' vectors."""
