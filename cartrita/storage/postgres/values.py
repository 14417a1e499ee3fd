"""Turns our values into the database's."""

from datetime import UTC, datetime
from uuid import UUID

NOBODY = UUID(int=0)
"""An id that no row has."""


def moment(seconds: float) -> datetime:
    """Return a time in Unix seconds as the database has it."""
    return datetime.fromtimestamp(seconds, UTC)


def uuid_of(text: str) -> UUID | None:
    """Return an id in the database's form; None for what never was one, as `system`."""
    try:
        return UUID(text)
    except ValueError:
        return None


def id_of(text: str) -> UUID:
    """Return an id in the database's form; that of nobody for what never was one."""
    return uuid_of(text) or NOBODY


def whose(owner: str | None) -> UUID | None:
    """Return an owner's id; None stays as it is, and means whatever a statement says."""
    return None if owner is None else id_of(owner)
