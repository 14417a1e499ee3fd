"""Types of text that outsiders send."""

from typing import Annotated

from pydantic import AfterValidator


def _says_something(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL characters: PostgreSQL cannot store them")
    return text


Prose = Annotated[str, AfterValidator(_says_something)]
"""More than white space, kept as it is: positions in it stay right."""

Storable = Annotated[str, AfterValidator(_storable)]
"""What a database takes."""

StorableProse = Annotated[Prose, AfterValidator(_storable)]
"""Both."""
