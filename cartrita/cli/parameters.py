"""Reads a task's parameters from the command line."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer


def parameters_of(document: str | None, pairs: Sequence[str]) -> dict[str, Any]:
    """Return the parameters: a JSON object, then `key=value` pairs over it.

    Raises:
        typer.BadParameter: One of them cannot be read.
    """
    found = _object(document) if document is not None else {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(
                f"{pair!r} is no parameter: write 'name=value' or 'name=@file'."
            )
        found[name] = _value(text)
    return found


def value_of(text: str, name: str) -> Any:
    """Return the JSON value that an option holds, or the file it names.

    Raises:
        typer.BadParameter: It cannot be read.
    """
    return _json(_content(text[1:]) if text.startswith("@") else text, name)


def _object(text: str) -> dict[str, Any]:
    value = value_of(text, "--params")
    if not isinstance(value, dict):
        raise typer.BadParameter('--params takes a JSON object, such as \'{"query": "actors"}\'.')
    return value


def _value(text: str) -> Any:
    """Return JSON where the text is JSON, else the text; a file's name tells which it holds."""
    if text.startswith("@"):
        content = _content(text[1:])
        return _json(content, text) if text.endswith(".json") else content
    try:
        return _parsed(text)
    except ValueError:
        return text


def _json(text: str, name: str) -> Any:
    try:
        return _parsed(text)
    except ValueError as error:
        raise typer.BadParameter(f"{name!r} is not JSON: {error}.") from None


def _parsed(text: str) -> Any:
    return json.loads(text, parse_constant=_no_number)


def _no_number(name: str) -> NoReturn:
    """Refuse what Python's reader takes beyond JSON."""
    raise ValueError(f"{name} is no JSON")


def _content(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise typer.BadParameter(f"Cannot read {path!r}: {cause}.") from None
