"""Every setting, with all the names it goes by."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from cartrita.config.kinds import Aliases, Section
from cartrita.config.sections import RaysOwn
from cartrita.config.settings import Settings

PREFIX = "CARTRITA_"
FILE_SUFFIX = "_FILE"
CONFIG_VARIABLE = "CARTRITA_CONFIG"
SEALED_VARIABLE = "CARTRITA_SEALED"
TOKEN_VARIABLE = "CARTRITA_TOKEN"  # noqa: S105 - the name of one
META = {
    CONFIG_VARIABLE: "Path of the settings file; `config.toml` in the home by default.",
    "CARTRITA_SERVICE": "Set by the keeper: which of its services a process belongs to.",
    SEALED_VARIABLE: "`1` in our own children: nothing but the environment is read.",
    TOKEN_VARIABLE: "Access token or API key that the command line sends instead of signing in.",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One leaf of `Settings`.

    Attributes:
        path: Its section and field.
        aliases: The seed's names in the environment.
        shared: Names of Ray's own; unlike aliases, they stay in the environment of children.
        secret: Whether its value must never be shown; such a one may come from a file.
        default: In Python; None where it is unset.
        accepts: Which values, in words.
    """

    path: tuple[str, ...]
    aliases: tuple[str, ...]
    shared: tuple[str, ...]
    secret: bool
    default: Any
    accepts: str
    description: str

    @property
    def name(self) -> str:
        """The dotted name, as flags write it."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return PREFIX + "__".join(self.path).upper()

    @property
    def file_variables(self) -> tuple[str, ...]:
        """The variables that may name a file with the value."""
        if not self.secret:
            return ()
        return tuple(name + FILE_SUFFIX for name in (self.variable, *self.aliases))


@cache
def every_setting() -> dict[str, Setting]:
    """Return every setting by its dotted name, in the order of the model."""
    schema = Settings.model_json_schema()
    return {setting.name: setting for setting in _walk(Settings, (), schema, schema["$defs"])}


def _walk(
    model: type[Section], path: tuple[str, ...], schema: dict[str, Any], types: dict[str, Any]
) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        kind, shape = field.annotation, schema["properties"][name]
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _walk(kind, (*path, name), types[kind.__name__], types)
        else:
            yield _leaf((*path, name), field, _unwrapped(shape))


def _leaf(path: tuple[str, ...], field: FieldInfo, shape: dict[str, Any]) -> Setting:
    named = [item for item in field.metadata if isinstance(item, Aliases)]
    return Setting(
        path=path,
        aliases=tuple(n for item in named if not isinstance(item, RaysOwn) for n in item.names),
        shared=tuple(n for item in named if isinstance(item, RaysOwn) for n in item.names),
        secret=shape.get("format") == "password",
        default=field.default,
        accepts=_words(shape),
        description=field.description or "",
    )


def _unwrapped(shape: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value that may also be unset."""
    choices = [option for option in shape.get("anyOf", ()) if option.get("type") != "null"]
    return choices[0] if choices else shape


def _words(shape: dict[str, Any]) -> str:
    """Say in words what a JSON schema accepts."""
    if "enum" in shape:
        return "one of " + ", ".join(f"`{value}`" for value in shape["enum"])
    if "pattern" in shape:
        return f"text like `{shape['pattern']}`"
    plain = {"array": "texts separated by commas", "boolean": "`true` or `false`"}
    formats = {"path": "a path", "password": "secret text"}
    if shape["type"] in ("integer", "number"):
        return _number(shape)
    return plain.get(shape["type"]) or formats.get(shape.get("format", ""), "text")


def _number(shape: dict[str, Any]) -> str:
    kind = "whole number" if shape["type"] == "integer" else "number"
    bounds = {
        "from {}": shape.get("minimum"),
        "above {}": shape.get("exclusiveMinimum"),
        "to {}": shape.get("maximum"),
    }
    return " ".join([f"a {kind}", *(text.format(v) for text, v in bounds.items() if v is not None)])


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence that helps somebody who mistyped `name`."""
    found = get_close_matches(name, list(names), n=1, cutoff=0.6)
    if found:
        return f"did you mean {found[0]!r}?"
    return "`cartrita config show` lists all settings."


def written(value: Any) -> str:
    """Return `value` in the text form that every source accepts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value is None else str(value)
