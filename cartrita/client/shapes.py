"""Makes models of the JSON Schemas in a server's catalogue."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import reduce
from operator import or_
from types import GenericAlias
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, create_model
from pydantic.alias_generators import to_camel

from cartrita.catalog import AGENTS, discover
from cartrita.client.models import TaskType
from cartrita.client.typed import RemoteTask
from cartrita.declare import TaskSpec
from cartrita.protocol.wire import WireModel

_REF = "#/$defs/"
_WORD = re.compile(r"(?<=[a-z0-9])([A-Z])")
_PLAIN: Mapping[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": None,
}
_FORMATS: Mapping[str, Any] = {"date-time": datetime, "uuid": UUID}
_LIMITS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
    "pattern": "pattern",
    "description": "description",
}


def model_of(schema: Mapping[str, Any], name: str) -> type[WireModel]:
    """Return the model of a schema; its fields have Python's names, and are read by both.

    What a schema says that has no place in a model is left to the server to check.
    """
    return _Reader(schema.get("$defs", {})).model(schema, str(schema.get("title", name)))


def task_types(catalogue: list[TaskType]) -> dict[str, RemoteTask[Any, Any]]:
    """Return a server's task types, by every name that they have.

    Where the same declaration is installed here, its own models are taken; else they are made
    of the schemas.
    """
    declared = _declared()
    found: dict[str, RemoteTask[Any, Any]] = {}
    for entry in catalogue:
        spec = declared.get(entry.task_type)
        made = _local(spec) if spec and _same(spec, entry) else _remote(entry)
        found.update(dict.fromkeys((entry.task_type, *entry.aliases), made))
    return found


def _declared() -> Mapping[str, TaskSpec]:
    try:
        return discover(AGENTS).tasks
    except ImportError:  # the library alone is installed, or an agent lacks an extra
        return {}


def _same(spec: TaskSpec, entry: TaskType) -> bool:
    return (
        spec.params.model_json_schema(by_alias=True) == entry.parameters
        and spec.result.model_json_schema(by_alias=True, mode="serialization") == entry.result
    )


def _local(spec: TaskSpec) -> RemoteTask[Any, Any]:
    return RemoteTask(spec.name, spec.params, spec.result)


def _remote(entry: TaskType) -> RemoteTask[Any, Any]:
    params = model_of(entry.parameters, "Params")
    return RemoteTask(entry.task_type, params, model_of(entry.result, "Result"))


class _Reader:
    """Reads one document."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._models: dict[str, Any] = {}

    def model(self, schema: Mapping[str, Any], name: str) -> type[WireModel]:
        """Return the model of an object."""
        needed = set(schema.get("required", ()))
        fields: dict[str, Any] = {
            _python(wire): self._field(wire, item, needed=wire in needed)
            for wire, item in schema.get("properties", {}).items()
        }
        made: type[WireModel] = create_model(
            name, __base__=WireModel, __doc__=schema.get("description"), **fields
        )
        return made

    def _field(self, wire: str, schema: Mapping[str, Any], *, needed: bool) -> Any:
        kind, name = self._kind(schema), _python(wire)
        limits = {ours: schema[theirs] for theirs, ours in _LIMITS.items() if theirs in schema}
        if to_camel(name) != wire:
            limits["alias"] = wire
        if not needed:
            # What is left out here is left to the server, whose default may change.
            kind, limits["default"] = kind | None, None
        return Annotated[kind, Field(**limits)]

    def _kind(self, schema: Mapping[str, Any]) -> Any:
        readers: dict[str, Callable[[Any], Any]] = {
            "$ref": self._referred,
            "const": lambda value: Literal[value],
            "enum": lambda values: Literal[tuple(values)],
            "anyOf": self._union,
            "oneOf": self._union,
        }
        for key, reader in readers.items():
            if key in schema:
                return reader(schema[key])
        return self._of_type(schema)

    def _of_type(self, schema: Mapping[str, Any]) -> Any:
        told = schema.get("type")
        if told == "array":
            return GenericAlias(list, (self._kind(schema.get("items", {})),))
        if told == "object":
            return self._object(schema)
        if told == "string":
            return _FORMATS.get(str(schema.get("format")), str)
        return _PLAIN.get(told, Any) if isinstance(told, str) else Any

    def _object(self, schema: Mapping[str, Any]) -> Any:
        if "properties" in schema:
            return self.model(schema, str(schema.get("title", "Object")))
        values = schema.get("additionalProperties")
        item = self._kind(values) if isinstance(values, Mapping) else Any
        return GenericAlias(dict, (str, item))

    def _union(self, choices: list[Mapping[str, Any]]) -> Any:
        kinds = [self._kind(choice) for choice in choices]
        return Any if Any in kinds else reduce(or_, kinds)

    def _referred(self, ref: str) -> Any:
        name = ref.removeprefix(_REF)
        if name not in self._models:
            self._models[name] = Any  # what contains itself is not followed further
            self._models[name] = self._kind({"title": name, **self._definitions.get(name, {})})
        return self._models[name]


def _python(wire: str) -> str:
    return _WORD.sub(lambda found: f"_{found[1].lower()}", wire)
