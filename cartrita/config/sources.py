"""Where settings are looked for: flags, environment, `.env`, a TOML file."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from cartrita.config.names import META, PREFIX, Setting, every_setting, nearest
from cartrita.errors import ConfigurationInvalid

LARGEST_FILE = 1 << 20
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_|$)")
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Found:
    """A raw value and the place it came from."""

    value: Any
    origin: str


def from_flags(overrides: Mapping[str, str]) -> dict[str, Found]:
    """Read dotted names that were given on the command line."""
    for name in overrides:
        if name not in every_setting():
            raise ConfigurationInvalid(
                f"Unknown setting {name!r} in a flag: {nearest(name, every_setting())}"
            )
    return _kept((name, Found(value, f"flag {name}")) for name, value in overrides.items())


def from_environment(variables: Mapping[str, str], place: str, cwd: Path) -> dict[str, Found]:
    """Read variables: `CARTRITA_` names win over `*_FILE`, and those over the seed's names."""
    _refuse_unknown(variables, place)
    found = {}
    for setting in every_setting().values():
        value = _first(setting, variables, place, cwd)
        if value is not None:
            found[setting.name] = value
    return found


def _first(setting: Setting, variables: Mapping[str, str], place: str, cwd: Path) -> Found | None:
    if text := variables.get(setting.variable):
        return Found(text, f"{place} {setting.variable}")
    for name in setting.file_variables:
        if path := variables.get(name):
            return Found(_secret(cwd / path, f"{place} {name}"), f"{path} ({place} {name})")
    for name in (*setting.aliases, *setting.shared):
        if text := variables.get(name):
            return Found(text, f"{place} {name}")
    return None


def _secret(path: Path, origin: str) -> str:
    text = _text(path, origin).rstrip("\r\n")
    if not text:
        raise ConfigurationInvalid(f"{origin} names {str(path)!r}, which is empty.")
    return text


def _text(path: Path, origin: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationInvalid(f"{origin}: cannot read {str(path)!r}: {cause}.") from None
    if len(content) > LARGEST_FILE:
        raise ConfigurationInvalid(f"{origin}: {str(path)!r} is over {LARGEST_FILE} bytes.")
    return text


def _refuse_unknown(variables: Mapping[str, str], place: str) -> None:
    settings = every_setting().values()
    known = {s.variable for s in settings} | {n for s in settings for n in s.file_variables}
    for name, value in variables.items():
        if not name.startswith(PREFIX) or name in known or name in META:
            continue
        if not _is_service_link(name, value):
            raise ConfigurationInvalid(
                f"Unknown variable {name!r} in {place}: {nearest(name, known | set(META))}"
            )


def _is_service_link(name: str, value: str) -> bool:
    """Tell whether Kubernetes wrote this for a Service whose name begins with `cartrita`."""
    if _SERVICE_LINK.search(name):
        return True
    return name.endswith("_PORT") and _SERVICE_ADDRESS.match(value) is not None


def dotenv(path: Path) -> dict[str, str]:
    """Return the variables that a `.env` file sets, empty ones included."""
    if not path.is_file():
        return {}
    _text(path, ".env")
    # No interpolation: it would read the process environment behind our back.
    values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    return {name: value or "" for name, value in values.items()}


def from_file(path: Path) -> dict[str, Found]:
    """Read a TOML file whose tables are the sections."""
    try:
        tree = tomllib.loads(_text(path, "settings file"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationInvalid(f"{str(path)!r} is not TOML: {error}.") from None
    return _kept((name, Found(value, str(path))) for name, value in _leaves(tree, path))


def _leaves(tree: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Any]]:
    names = every_setting()
    sections = {setting.path[0] for setting in names.values() if len(setting.path) > 1}
    for key, value in tree.items():
        if key not in sections or not isinstance(value, Mapping):
            yield _known(key, path), value
            continue
        for field, entry in value.items():
            yield _known(f"{key}.{field}", path), entry


def _known(name: str, path: Path) -> str:
    if name not in every_setting():
        hint = nearest(name, every_setting())
        raise ConfigurationInvalid(f"Unknown setting {name!r} in {str(path)!r}: {hint}")
    return name


def _kept(pairs: Iterable[tuple[str, Found]]) -> dict[str, Found]:
    """Drop empty texts: everywhere, empty means unset."""
    return {name: found for name, found in pairs if found.value != ""}
