"""Types of text that outsiders send."""

from typing import Annotated

from pydantic import AfterValidator


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode, without lone surrogates") from error
    return text


def _says_something(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL characters: PostgreSQL cannot store them")
    return text


Unicode = Annotated[str, AfterValidator(_encodable)]
"""What can be written as UTF-8; JSON lets halves of characters through."""

Prose = Annotated[Unicode, AfterValidator(_says_something)]
"""More than white space, kept as it is: positions in it stay right."""

Storable = Annotated[Unicode, AfterValidator(_storable)]
"""What a database takes."""

StorableProse = Annotated[Prose, AfterValidator(_storable)]
"""Both."""
