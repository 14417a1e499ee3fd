"""What is known of files that were handed in for a while."""

from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

Expired = Literal["include", "only", "exclude"]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody handed in.

    Attributes:
        owner: Whose; nobody else may use it.
        blob: The owner's blob that has its bytes.
        name: What its owner calls it.
        kind: Its media type.
        created_at: Unix seconds.
        expires_at: Unix seconds.
    """

    id: UUID
    owner: str
    blob: str
    name: str
    kind: str
    size: int
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Which:
    """Which of an owner's uploads.

    Attributes:
        now: Unix seconds; what expires until then has expired.
        expired: Whether those are wanted.
        kind: Only of this media type, or, without a subtype, of this beginning.
    """

    now: float
    expired: Expired = "exclude"
    kind: str | None = None


class UploadBook(Protocol):
    """Uploads by id. Raises `ServiceUnavailable` where it cannot be reached."""

    async def add(self, upload: Upload, most: int) -> bool:
        """Note one, unless its owner has `most` that have not expired when it is created."""

    async def find(self, upload_id: UUID) -> Upload | None:
        """Return one, whoever's, expired or not."""

    async def page(
        self, owner: str, which: Which, limit: int, offset: int
    ) -> tuple[list[Upload], int]:
        """Return an owner's, newest first, and how many there are in all."""

    async def remove(self, upload_id: UUID) -> bool:
        """Forget one; False when there is none."""

    async def drop(self, before: float, limit: int) -> list[Upload]:
        """Forget some of those that expired before a Unix time, whoever's, and return them."""
