"""What is asked of a user's knowledge, and what comes back."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from cartrita.declare import ModelResult, Params
from cartrita.knowledge.ranking import Kind
from cartrita.protocol.text import Storable, StorableProse
from cartrita.protocol.wire import WireModel
from cartrita.storage.knowledge import ContentType, SourceType

LONGEST = 400_000
"""Characters of an entry: some 520 pieces, about a minute of one core for the built-in model."""

MOST_MAPPED = 500

Title = Annotated[StorableProse, Field(max_length=500)]
Category = Annotated[StorableProse, Field(max_length=100)]
Tags = Annotated[list[Annotated[StorableProse, Field(max_length=100)]], Field(max_length=50)]
Ids = Annotated[list[UUID], Field(min_length=1, max_length=100)]


class FileFacts(WireModel):
    """What an entry came as."""

    name: Annotated[StorableProse, Field(max_length=255)]
    kind: Annotated[Storable, Field(max_length=129)]
    size: int = Field(ge=0)


class UpsertParams(Params):
    """Something to look things up in."""

    id: UUID | None = Field(default=None, description="An entry of yours that this replaces.")
    title: Title
    content: Annotated[StorableProse, Field(max_length=LONGEST)]
    content_type: ContentType = "text"
    category: Category = "general"
    subcategory: Category | None = None
    tags: Tags = Field(default_factory=list)
    importance_score: float = Field(default=0.5, ge=0, le=1)
    source_type: SourceType = "user_created"
    source_url: Annotated[StorableProse, Field(max_length=2048)] | None = None
    file: FileFacts | None = None
    unique: bool = Field(default=False, description="Keep nothing where the content is known.")


class UpsertResult(ModelResult):
    """What became of it. With `duplicate` the id is the known entry's."""

    id: UUID
    status: Literal["created", "updated", "duplicate"]
    chunks: int = Field(description="Pieces that it is found by.")
    digest: str = Field(description="SHA-256 of the content, in hex.")
    created_at: str = Field(description="ISO-8601, UTC.")
    updated_at: str = Field(description="ISO-8601, UTC.")


class QueryParams(Params):
    """What to look for in your own entries."""

    query: Annotated[StorableProse, Field(max_length=10_000)]
    search_type: Kind = "hybrid"
    limit: int = Field(default=10, ge=1, le=100)
    threshold: float = Field(default=0.3, ge=0, le=1, description="The least likeness in meaning.")
    category: Category | None = None
    content_type: ContentType | None = None
    tags: Tags = Field(default_factory=list, description="All of these.")
    ids: Ids | None = Field(default=None, description="Only these entries.")
    distinct: bool = Field(default=False, description="Only the best piece of each entry.")


class Hit(WireModel):
    """A piece of an entry that was found."""

    id: UUID = Field(description="The entry's.")
    place: int = Field(description="Which piece of it, from 0.")
    text: str
    snippet: str
    title: str
    content_type: ContentType
    category: str
    tags: list[str]
    importance_score: float
    file: FileFacts | None = None
    score: float = Field(
        description="Up to 1: the likeness, or the rank where words were looked for."
    )
    similarity: float | None = Field(default=None, description="Of its meaning, -1 to 1.")
    found_by: Kind
    created_at: str
    updated_at: str


class QueryResult(ModelResult):
    """Pieces, best first."""

    query: str
    search_type: Kind
    hits: list[Hit]
    search_time_ms: int


class MapParams(Params):
    """What to put on the map."""

    min_strength: float = Field(default=0.5, ge=0, le=1, description="Of likenesses shown.")
    clusters: int = Field(default=5, ge=0, le=20, description="At most.")
    limit: int = Field(default=200, ge=1, le=MOST_MAPPED, description="Entries, the last first.")


class Node(WireModel):
    """An entry on the map."""

    id: UUID
    title: str
    content_type: ContentType
    category: str
    tags: list[str]
    importance_score: float
    cluster: int | None = None


class Likeness(WireModel):
    """Two entries that are alike in meaning."""

    source: UUID
    target: UUID
    strength: float


class Cluster(WireModel):
    """Entries that are alike."""

    number: int
    label: str = Field(description="The title of the most typical one.")
    entries: list[UUID] = Field(description="The most typical first.")


class MapResult(ModelResult):
    """Entries and what of them is alike. Nobody has read them: likeness is all that is known."""

    nodes: list[Node]
    edges: list[Likeness]
    clusters: list[Cluster]
