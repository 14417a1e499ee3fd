"""Reads the secrets that settings keep in a vault."""

import asyncio
import hashlib
import inspect
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any

from pydantic import SecretStr, ValidationError

from cartrita.config.kinds import IN_VAULT, UNREAD, Reference, reference_of, text_of
from cartrita.config.names import every_setting
from cartrita.config.settings import Settings
from cartrita.errors import CartritaError, ConfigurationInvalid

PROVIDERS = frozenset({"models", "web"})
"""Sections whose secrets only workers need: they are read by those, and anew when they change."""

Factories = Mapping[Any, Callable[[Any], Any]]
Read = Callable[[Settings, list[str]], dict[str, dict[str, Any]]]


def references(settings: Settings, but: AbstractSet[str] = frozenset()) -> dict[str, Reference]:
    """Return where in the vault secrets are, by the names of their settings.

    Args:
        settings: What was loaded.
        but: Sections to leave out.

    Raises:
        ConfigurationInvalid: One begins like a reference and is none.
    """
    found = {}
    for name, setting in every_setting().items():
        value = _value(settings, setting.path) if setting.secret else None
        if setting.path[0] in but or value is None:
            continue
        if reference := reference_of(value):
            found[name] = reference
        elif value.get_secret_value().startswith(IN_VAULT):
            raise ConfigurationInvalid(f"Setting {name!r} takes {IN_VAULT}path#field.")
    return found


def _value(settings: Settings, path: tuple[str, ...]) -> SecretStr | None:
    value: Any = settings
    for part in path:
        value = getattr(value, part)
    return value if isinstance(value, SecretStr) else None


def read_vault(settings: Settings, paths: list[str]) -> dict[str, dict[str, Any]]:
    """Return the secrets at these paths of the vault that the settings name."""
    found: dict[str, dict[str, Any]] = open_vault(settings).read(paths)
    return found


def open_vault(settings: Settings) -> Any:
    """Return the vault that the settings name.

    Raises:
        ConfigurationInvalid: They name none.
        MissingExtra: The library that speaks to it is not installed.
    """
    from cartrita.providers.hashicorp import HashicorpVault, Server  # noqa: PLC0415

    chosen = settings.vault
    if chosen.url is None:
        raise ConfigurationInvalid(
            "Secrets are said to be in a vault, and none is named: set CARTRITA_VAULT__URL."
        )
    secret = text_of(chosen.secret_id)
    return HashicorpVault(
        Server(
            chosen.url,
            chosen.mount,
            chosen.prefix,
            chosen.namespace,
            chosen.ca,
            chosen.timeout_s,
            chosen.tries,
            text_of(chosen.token),
            chosen.token_path,
            (chosen.role_id, secret) if chosen.role_id and secret else None,
            chosen.approle_mount,
        )
    )


def resolved(
    settings: Settings, but: AbstractSet[str] = frozenset(), read: Read = read_vault
) -> Settings:
    """Return the settings with what the vault holds in the places of references to it. Blocks.

    Args:
        settings: What was loaded.
        but: Sections that stay as they are.
        read: Asks the vault.

    Raises:
        ConfigurationInvalid: One cannot be read, is no text, or is not what its setting takes.
        ServiceUnavailable: The vault is away.
    """
    references(settings)  # a wrong one is told at once, whoever needs it
    wanted = references(settings, but)
    if not wanted:
        return settings
    tree = settings.model_dump()
    for name, secret in _read(settings, wanted, read).items():
        section, _, key = name.partition(".")
        tree[section][key] = secret
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        problems = [".".join(map(str, item["loc"])) + ": " + item["msg"] for item in error.errors()]
    # Raised outside the handler: the other error's context holds the values.
    raise ConfigurationInvalid(f"What the vault holds is not accepted: {'; '.join(problems)}.")


def _read(settings: Settings, wanted: Mapping[str, Reference], read: Read) -> dict[str, SecretStr]:
    named = ", ".join(wanted)
    try:
        found = read(settings, sorted({reference.path for reference in wanted.values()}))
    except CartritaError as error:
        raise type(error)(
            f"{error.message} Settings that are kept there: {named}.",
            error.reason,
            [(name, "cannot be read from the vault") for name in wanted],
            error.retry_after,
        ) from None
    return {name: _field(name, at, found[at.path]) for name, at in wanted.items()}


def _field(name: str, at: Reference, secret: Mapping[str, Any]) -> SecretStr:
    value = secret.get(at.field)
    if not isinstance(value, str) or not value:
        wrong = "is not there" if value is None else "is empty" if value == "" else "is no text"
        raise ConfigurationInvalid(
            f"Setting {name!r} names '{at}', whose field {wrong}.",
            fields=[(name, f"names '{at}', whose field {wrong}")],
        )
    return SecretStr(value)


def reading(settings: Settings, make: Callable[[Settings], Factories]) -> dict[Any, Any]:
    """Return factories which read the vault when what they open needs a secret from it.

    So who needs none starts without the vault, and secrets do not travel with the settings.

    Args:
        settings: What was loaded.
        make: Gives the factories of some settings.
    """
    plain = dict(make(settings))
    if not references(settings):
        return plain
    read = cache(lambda: dict(make(resolved(settings))))

    def late(port: Any) -> Callable[[Any], Any]:
        async def open_it(services: Any) -> Any:
            try:
                return await _opened(plain[port], services)
            except ConfigurationInvalid as error:
                if error.reason != UNREAD:
                    raise
            factories = await asyncio.to_thread(read)
            return await _opened(factories[port], services)

        return open_it

    return {port: late(port) for port in plain}


async def _opened(factory: Callable[[Any], Any], services: Any) -> Any:
    made = factory(services)
    return await made if inspect.isawaitable(made) else made


class Watch:
    """Tells when providers' keys have changed in the vault.

    Args:
        settings: What was loaded, references included.
        read: Asks the vault.
    """

    def __init__(self, settings: Settings, read: Read = read_vault) -> None:
        others = {path[0] for path in (s.path for s in every_setting().values())} - PROVIDERS
        self._settings, self._ask = settings, read
        self._wanted = references(settings, others)
        self._last: bytes | None = None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to look at."""
        return not self._wanted or not self._settings.vault.refresh_s

    def changed(self) -> bool:
        """Look; tell whether something is not as it was the last time. Blocks.

        Raises:
            CartritaError: It cannot be read now.
        """
        found = _read(self._settings, self._wanted, self._ask)
        texts = (f"{name}\0{secret.get_secret_value()}" for name, secret in found.items())
        now = hashlib.blake2b("\0\0".join(texts).encode()).digest()
        before, self._last = self._last, now
        return before is not None and before != now
