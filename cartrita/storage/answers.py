"""What keeps answers that may be given again; its loss matters to nobody."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an answer is.

    Attributes:
        tenant: Nobody of another one is ever given it.
        user: Who asked first; when they are forgotten, so is it.
    """

    tenant: str
    user: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer that is kept.

    Attributes:
        body: As whoever keeps it wrote it.
        seconds: How long it is kept from now on.
    """

    owner: Owner
    key: str
    body: bytes
    seconds: float


class Shelf(Protocol):
    """Keeps answers by the exact key of what was asked."""

    async def get(self, tenant: str, key: str) -> bytes | None:
        """Return a body; None when there is none, or no longer.

        Raises:
            ServiceUnavailable: It cannot be reached.
        """

    async def put(self, entry: Entry) -> None:
        """Keep an answer in the place of an older one.

        Raises:
            ServiceUnavailable: It cannot be reached.
        """

    async def forget(self, *, tenant: str | None = None, user: str | None = None) -> int:
        """Delete all answers of a tenant, or of a user in every tenant; returns how many.

        Raises:
            ServiceUnavailable: It cannot be reached.
        """

    async def close(self) -> None:
        """Let go of it."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a question is found by when it is only alike.

    Attributes:
        scope: Names everything about it but its text, which has to be the same.
        model: What made the vector; those of different models are never compared.
        vector: Of its text, normalised.
    """

    scope: str
    model: str
    vector: Vector = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Alike:
    """An answer to a question that is nearly the same.

    Attributes:
        score: How alike it is, up to 1.
    """

    body: bytes
    score: float


class Meanings(Protocol):
    """Keeps answers by the meaning of what was asked."""

    async def knows(self, tenant: str, scope: str) -> bool:
        """Tell whether there is anything to compare a question of this scope with.

        Raises:
            ServiceUnavailable: They cannot be reached.
        """

    async def nearest(self, tenant: str, asked: Likeness, least: float) -> Alike | None:
        """Return the answer to the most alike question; None where none is at least that.

        Raises:
            ServiceUnavailable: They cannot be reached.
        """

    async def put(self, entry: Entry, asked: Likeness) -> None:
        """Keep an answer, in the place of an older one with its key.

        Raises:
            ServiceUnavailable: They cannot be reached.
        """

    async def forget(self, *, tenant: str | None = None, user: str | None = None) -> int:
        """Delete all answers of a tenant, or of a user in every tenant; returns how many.

        Raises:
            ServiceUnavailable: They cannot be reached.
        """
