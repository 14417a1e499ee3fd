"""JSON Schemas that somebody else wrote, as the models of a task."""

import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

import jsonschema
from jsonschema.exceptions import SchemaError
from pydantic import model_validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from cartrita.declare import Params, Result
from cartrita.errors import FieldError, InvalidParameters

LARGEST = 64 * 1024
"""Bytes of a schema."""

DEEPEST = 32
"""Levels of a schema."""

MOST_PROBLEMS = 20
LONGEST_MESSAGE = 300

_LOCAL = re.compile(r"#/\$defs/[A-Za-z0-9_.-]+")
_ELSEWHERE = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$vocabulary")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Document:
    """A JSON Schema (2020-12) of an object. `format` is a comment in it, as the standard says.

    Raises:
        ValueError: It is none, or refers to something outside of itself.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema
        _check(schema)

    @cached_property
    def _validator(self) -> jsonschema.Draft202012Validator:
        # An empty registry: nothing is ever fetched.
        return jsonschema.Draft202012Validator(self.schema, registry=Registry())

    def problems(self, value: Any) -> list[FieldError]:
        """Return what is wrong with a value, field by field; nothing when it fits."""
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            return [FieldError("", f"has no JSON form: {error}")]
        found: dict[FieldError, None] = {}
        try:
            for problem in self._validator.iter_errors(value):
                found.update(dict.fromkeys(_told(problem)))
                if len(found) >= MOST_PROBLEMS:
                    break
        except RecursionError:
            return [FieldError("", "is nested too deep")]
        except Unresolvable as error:
            return [FieldError("", f"cannot be checked: {error}")]
        return list(found)


def _check(schema: dict[str, Any]) -> None:
    if len(json.dumps(schema)) > LARGEST:
        raise ValueError(f"a schema has at most {LARGEST} bytes")
    if schema.get("type") != "object":
        raise ValueError("it must be the schema of an object: say 'type': 'object'")
    if schema.get("$schema", _DIALECT) != _DIALECT:
        raise ValueError(f"'$schema' can only be {_DIALECT!r}")
    _walk(schema, schema.get("$defs", {}), 1)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = ".".join(map(str, error.absolute_path)) or "it"
        raise ValueError(f"it is no JSON Schema: {where}: {error.message[:200]}") from None
    except re.error as wrong:
        raise ValueError(f"a 'pattern' is no regular expression: {wrong}") from None


def _walk(value: Any, known: Any, depth: int) -> None:
    """Refuse what leads out of the schema, and what is too deep."""
    if depth > DEEPEST:
        raise ValueError(f"a schema has at most {DEEPEST} levels")
    if isinstance(value, dict):
        for name in _ELSEWHERE:
            if name in value:
                raise ValueError(f"{name!r} is not taken")
        _check_reference(value.get("$ref"), known)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _walk(item, known, depth + 1)


def _check_reference(target: Any, known: Any) -> None:
    if target is None:
        return
    if not (isinstance(target, str) and _LOCAL.fullmatch(target)):
        raise ValueError(f"'$ref' leads to '#/$defs/NAME' only, not to {target!r}")
    name = target.removeprefix("#/$defs/")
    if not (isinstance(known, dict) and name in known):
        raise ValueError(f"there is no {target!r}")


def _told(error: jsonschema.ValidationError) -> Iterator[FieldError]:
    """Yield a field for each thing that an error names."""
    place = [str(part) for part in error.absolute_path]
    message = error.message[:LONGEST_MESSAGE]
    names: list[str] = []
    if isinstance(error.instance, dict):
        if error.validator == "required":
            names = [name for name in error.validator_value if name not in error.instance]
            message = "is missing"
        elif error.validator == "additionalProperties" and not error.validator_value:
            named = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
            names = [name for name in error.instance if name not in named]
            message = "is not taken"
    for name in names or [""]:
        yield FieldError(".".join([*place, name] if name else place), message)


class DocumentParams(Params):
    """Parameters that fit a document. The door checks them; what they are is in the record."""

    document: ClassVar[Document]

    @classmethod
    def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
        """Return the document's schema."""
        return cls.document.schema

    @model_validator(mode="before")
    @classmethod
    def _fits(cls, values: Any) -> dict[str, Any]:
        problems = cls.document.problems(values)
        if problems:
            fields = [(_dotted("parameters", name), text) for name, text in problems]
            names = ", ".join(name for name, _ in fields[:5])
            raise InvalidParameters(f"The parameters do not fit: see {names}.", fields=fields)
        return {}


class DocumentResult(Result):
    """A result that fits a document."""

    document: ClassVar[Document]

    @classmethod
    def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
        """Return the document's schema."""
        return cls.document.schema


def _dotted(first: str, rest: str) -> str:
    return f"{first}.{rest}" if rest else first


def params_of(name: str, document: Document) -> type[DocumentParams]:
    """Return the model of what fits a document."""
    return type(name, (DocumentParams,), {"document": document, "__module__": __name__})


def result_of(name: str, document: Document) -> type[DocumentResult]:
    """Return the model of what fits a document."""
    return type(name, (DocumentResult,), {"document": document, "__module__": __name__})
