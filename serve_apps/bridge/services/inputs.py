"""What services take from queries and paths, which no model of a task has checked."""

from typing import Any

from cartrita.errors import InvalidParameters


def storable(params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters, if a database can be asked about them.

    Raises:
        InvalidParameters: A text has NUL characters, which PostgreSQL has none of.
    """
    for name, value in params.items():
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and "\x00" in text for text in texts):
            raise InvalidParameters(
                f"{name!r} has NUL characters.", fields=[(name, "must not contain NUL characters")]
            )
    return params
