"""The one place that reads the environment and makes `Settings`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from cartrita.config.kinds import Places, reference_of
from cartrita.config.names import (
    CONFIG_VARIABLE,
    SEALED_VARIABLE,
    TOKEN_VARIABLE,
    Setting,
    every_setting,
    written,
)
from cartrita.config.settings import Settings
from cartrita.config.sources import Found, dotenv, from_environment, from_file, from_flags
from cartrita.errors import ConfigurationInvalid

MASK = "********"
DEFAULT = "default"
_LONGEST_SHOWN = 80
_INHERITED = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR"),
    *("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "XDG_RUNTIME_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HF_HOME", "HF_HUB_OFFLINE"),
}
_INHERITED_PREFIXES = ("LC_", "SSL_", "RAY_", "OTEL_", "CUDA_", "NVIDIA_")


@dataclass(frozen=True, slots=True)
class Explained:
    """One setting in effect, for people: secrets are masked."""

    name: str
    value: str
    origin: str
    description: str


def load_settings(
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """Return the settings in effect.

    A flag wins over a `CARTRITA_` variable, that over a `*_FILE` variable, that over one of
    the seed's names, all of them over the same in `.env`, and that over the settings file.
    An empty value counts as unset.

    Args:
        overrides: Flags, by dotted name.
        environ: The environment; this process's own by default.
        cwd: Where `.env` is and relative paths begin; this process's own by default.

    Raises:
        ConfigurationInvalid: A name is unknown or a value not accepted.
    """
    return _read(overrides, environ, cwd)[0]


def explain(
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> list[Explained]:
    """Return every setting with its value and where that came from."""
    settings, found = _read(overrides, environ, cwd)
    rows = []
    for name, setting in every_setting().items():
        value = _value(settings, setting)
        # Where a secret is may be told; a reference is shown for what it is.
        shown = MASK if isinstance(value, SecretStr) else written(value)
        shown = str(reference_of(value) or shown)
        origin = found[name].origin if name in found else DEFAULT
        rows.append(Explained(name, shown, origin, setting.description))
    return rows


def given_token(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> str | None:
    """Return the access token of the person at the terminal, if the environment holds one.

    Args:
        environ: The environment; this process's own by default.
        cwd: Where `.env` is; this process's own by default.
    """
    variables = os.environ if environ is None else environ
    local = dotenv((cwd or Path.cwd()) / ".env")
    return variables.get(TOKEN_VARIABLE) or local.get(TOKEN_VARIABLE) or None


def child_environment(
    settings: Settings,
    extra: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the environment in which a child of ours loads equal settings.

    It holds secrets: give it to our own processes only, and never to Ray's `runtime_env`,
    which the dashboard shows.

    Args:
        settings: What the child shall see.
        extra: More variables, which win.
        environ: What to inherit from; this process's own by default.
    """
    source = os.environ if environ is None else environ
    kept = {name: value for name, value in source.items() if _inherited(name)}
    texts = {s.variable: written(_value(settings, s)) for s in every_setting().values()}
    told = {name: text for name, text in texts.items() if text}
    return {**kept, **told, SEALED_VARIABLE: "1", **(extra or {})}


def offer(variables: Mapping[str, str]) -> bool:
    """Set variables that are not set yet, for a library that reads them as it is imported.

    Returns:
        Whether all of them were set so before.
    """
    told = all(os.environ.get(name) == text for name, text in variables.items())
    for name, text in variables.items():
        os.environ.setdefault(name, text)
    return told


def _inherited(name: str) -> bool:
    # RAY_ADDRESS is a setting: inherited, it would reach Ray behind the settings' back.
    known = name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    return known and name not in {alias for s in every_setting().values() for alias in s.aliases}


def _value(settings: Settings, setting: Setting) -> Any:
    value: Any = settings
    for part in setting.path:
        value = getattr(value, part)
    return value


def _read(
    overrides: Mapping[str, str] | None, environ: Mapping[str, str] | None, cwd: Path | None
) -> tuple[Settings, dict[str, Found]]:
    variables = os.environ if environ is None else environ
    folder = (cwd or Path.cwd()).absolute()
    places = Places(folder, Path(variables.get("HOME") or Path.home()))
    found = _gather(overrides or {}, variables, places)
    return _validated(found, places), found


def _gather(
    overrides: Mapping[str, str], variables: Mapping[str, str], places: Places
) -> dict[str, Found]:
    sources = [from_flags(overrides), from_environment(variables, "environment", places.cwd)]
    if variables.get(SEALED_VARIABLE) != "1":
        local = dotenv(places.cwd / ".env")
        sources.append(from_environment(local, ".env", places.cwd))
        named = variables.get(CONFIG_VARIABLE) or local.get(CONFIG_VARIABLE)
        path = places.resolve(Path(named or _home(sources) / "config.toml"))
        if named or path.is_file():
            sources.append(from_file(path))
    found = {name: item for source in reversed(sources) for name, item in source.items()}
    for name, item in found.items():
        # No child's environment could carry it.
        if isinstance(item.value, str) and "\0" in item.value:
            raise ConfigurationInvalid(f"Setting {name!r} ({item.origin}) holds a NUL character.")
    return found


def _home(sources: list[dict[str, Found]]) -> Path:
    """Return where the settings file is looked for: only what comes before it can say."""
    given = (source["home"].value for source in sources if "home" in source)
    return Path(next(given, every_setting()["home"].default))


def _validated(found: Mapping[str, Found], places: Places) -> Settings:
    tree: dict[str, Any] = {}
    for name, item in found.items():
        section, _, field = name.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[field] = item.value
    try:
        return Settings.model_validate(tree, context=places)
    except ValidationError as error:
        problems = [_problem(item, found) for item in error.errors()]
    # Raised outside the handler: the other error's context holds the values, secrets included.
    text = " ".join(message for _, message in problems)
    raise ConfigurationInvalid(text, fields=problems)


def _problem(item: ErrorDetails, found: Mapping[str, Found]) -> tuple[str, str]:
    own = item["msg"].removeprefix("Value error, ") if item["type"] == "value_error" else ""
    names = [".".join(str(part) for part in item["loc"][:depth]) for depth in (2, 1)]
    setting = next((every_setting()[name] for name in names if name in every_setting()), None)
    if setting is None:
        origins = sorted({i.origin for n, i in found.items() if n.startswith(f"{names[-1]}.")})
        return names[-1], f"Section {names[-1]!r} ({', '.join(origins)}): {own}."
    value, origin = found[setting.name].value, found[setting.name].origin
    shown = "not accepted" if setting.secret else repr(value)[:_LONGEST_SHOWN]
    return (
        setting.name,
        f"Setting {setting.name!r} ({origin}) is {shown}; it {own or 'takes ' + setting.accepts}.",
    )
