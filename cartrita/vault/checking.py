"""Asks a provider whether a key is good."""

from dataclasses import dataclass
from typing import Any, Protocol

from cartrita.egress.client import Egress
from cartrita.errors import CartritaError
from cartrita.vault.providers import Provider, fields_of

BAD = (400, 401, 403)
"""How providers answer a key that is none; Google says 400."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a key.

    Attributes:
        method: Whether its provider was asked, or only its form looked at.
        status: Of the provider's answer.
        error: Why the provider was not asked, or what it said.
    """

    provider: str
    valid: bool
    method: str = "format_only"
    status: int | None = None
    error: str | None = None

    @property
    def passed(self) -> bool:
        """Whether a test found nothing wrong: a provider that could not be asked is."""
        return self.valid and self.error is None

    @property
    def told(self) -> dict[str, Any]:
        """As v2 tells of it."""
        found = {"provider": self.provider, "valid": self.valid, "method": self.method}
        more = {"status": self.status, "error": self.error}
        return {**found, **{name: value for name, value in more.items() if value is not None}}


class Asks(Protocol):
    """Asks providers."""

    async def verdict(self, provider: Provider, value: str) -> Verdict | None:
        """Return what the provider says of a key; None where it cannot be asked."""

    async def close(self) -> None:
        """Let go of what it asks with."""


class ByHttp:
    """Asks over HTTP, by the one way out.

    Args:
        egress: Goes where the settings let it.
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def close(self) -> None:
        """Close the connections."""
        await self._egress.close()

    async def verdict(self, provider: Provider, value: str) -> Verdict | None:
        """Return what the provider says of a key; None where it cannot be asked."""
        check, key = provider.check, fields_of(provider, value)[provider.required_fields[0]]
        if check is None or not key.isascii() or not key.isprintable():
            return None
        headers = {**check.more, check.header: check.value.replace("{key}", key)}
        try:
            answer = await self._egress.ask(check.url, kinds=("*/*",), headers=headers)
        except CartritaError as error:
            return Verdict(provider.id, provider.fits(value), error=error.message)
        if answer.ok or answer.status in BAD:
            said = None if answer.ok else f"{provider.display_name} does not accept it."
            return Verdict(provider.id, answer.ok, "http_check", answer.status, said)
        told = f"{provider.display_name} answered {answer.status}, which says nothing of the key."
        return Verdict(provider.id, provider.fits(value), "format_only", answer.status, told)


async def verdict_of(asks: Asks | None, provider: Provider, value: str) -> Verdict:
    """Return what can be known of a key; one that looks wrong is not sent anywhere."""
    if not provider.fits(value):
        hint = f"It does not look like {provider.key_format_example}."
        return Verdict(provider.id, valid=False, error=hint)
    found = await asks.verdict(provider, value) if asks else None
    return found or Verdict(provider.id, valid=True)
