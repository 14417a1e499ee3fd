"""What a setting can be: its kinds of value and its names."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
)

from cartrita.errors import ConfigurationInvalid

IN_VAULT = "vault:"
UNREAD = "SECRET_UNREAD"
_REFERENCE = re.compile(r"vault:(?P<path>[^#\s]{1,512})#(?P<field>[^#\s]{1,128})")


@dataclass(frozen=True, slots=True)
class Aliases:
    """The seed's names of a setting, read where its `CARTRITA_` name is absent."""

    names: tuple[str, ...]


def also(*names: str) -> Aliases:
    """Let a setting be named as the seed named it."""
    return Aliases(names)


@dataclass(frozen=True, slots=True)
class Places:
    """What relative paths and `~` mean; the context of validation."""

    cwd: Path
    user_home: Path

    def resolve(self, path: Path) -> Path:
        """Return `path` as an absolute one."""
        if path.parts[:1] == ("~",):
            path = self.user_home.joinpath(*path.parts[1:])
        return self.cwd / path


def _resolve(path: Path, info: ValidationInfo) -> Path:
    places: Places = info.context or Places(Path.cwd(), Path.home())
    return places.resolve(path)


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Reference:
    """Where in the vault a secret is: `vault:path#field`."""

    path: str
    field: str

    def __str__(self) -> str:
        return f"{IN_VAULT}{self.path}#{self.field}"


def reference_of(value: object) -> Reference | None:
    """Return where in the vault a secret setting is; None for what is no reference."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else ""
    found = _REFERENCE.fullmatch(text)
    return Reference(found["path"], found["field"]) if found else None


def _url_of(*schemes: str) -> AfterValidator:
    def check(value: SecretStr | str) -> SecretStr | str:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if reference_of(value):
            return value
        if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must begin with {' or '.join(f'{s}://' for s in schemes)}")
        return value

    return AfterValidator(check)


Location = Annotated[Path, AfterValidator(_resolve)]
Lower = BeforeValidator(_lower)
Entry = Annotated[str, Field(pattern=r"^[^,\s]+$")]
Names = Annotated[tuple[Entry, ...], BeforeValidator(_split)]
Port = Annotated[int, Field(ge=1, le=65535)]
PostgresUrl = Annotated[SecretStr, _url_of("postgresql", "postgres")]
RedisUrl = Annotated[SecretStr, _url_of("redis", "rediss", "unix")]
HttpUrl = Annotated[str, _url_of("http", "https")]


class Section(BaseModel):
    """One table of the settings file: frozen, and nothing unknown in it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


def text_of(secret: SecretStr | None) -> str | None:
    """Return what a secret hides.

    Raises:
        ConfigurationInvalid: It is in the vault, and nobody has read it from there (`UNREAD`).
    """
    if reference := reference_of(secret):
        raise ConfigurationInvalid(f"'{reference}' was not read from the vault.", UNREAD)
    return secret.get_secret_value() if secret else None
