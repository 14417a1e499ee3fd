"""Where users keep keys of providers: in, out, changed, looked at."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Any

from pydantic import Field, SecretStr, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

from cartrita.clock import Clock, iso, new_id
from cartrita.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    ConfigurationInvalid,
    InvalidParameters,
    NotFound,
    ResourceLimitExceeded,
    ServiceUnavailable,
)
from cartrita.protocol.text import Storable
from cartrita.protocol.wire import WireModel
from cartrita.storage.runtime import Audit, AuditEntry
from cartrita.storage.vault import (
    Held,
    Severity,
    VaultBook,
    VaultEvent,
    VaultKey,
    VaultKeys,
    Version,
)
from cartrita.vault.checking import Asks, Verdict, verdict_of
from cartrita.vault.masking import Preferences, preferences_of
from cartrita.vault.providers import LONGEST, provider_of
from cartrita.vault.sealing import Seal, place

DAY = 86_400.0
KEPT_VERSIONS = 20
KEPT_EVENTS = 1000

KEY_TAKEN, TOKEN_BAD = "KEY_TAKEN", "REVEAL_TOKEN_BAD"

Name = Annotated[Storable, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Word = Annotated[Storable, StringConstraints(max_length=100)]


class NewKey(WireModel):
    """A key that somebody brings."""

    provider: Word
    name: Name
    value: SecretStr
    expires_at: float | None = None
    rotate_days: Annotated[int, Field(ge=1, le=3650)] | None = 90
    rotate_policy: Word = ""
    visibility: Word = "MASKED"
    category: Word = ""
    scopes: tuple[Word, ...] = Field(default=(), max_length=50)
    tags: tuple[Word, ...] = Field(default=(), max_length=50)
    metadata: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("metadata")
    @classmethod
    def _small(cls, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
        if len(json.dumps(metadata)) > LONGEST:
            raise PydanticCustomError("large", "takes up to {most} characters", {"most": LONGEST})
        return metadata


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose keys are meant, and who means them.

    Attributes:
        id: The user; None for the instance's own keys, which administrators keep.
        actor: Who acts.
    """

    id: str | None
    actor: str


class VaultDesk:
    """Keys of providers.

    Args:
        keys: Where they are, sealed.
        book: What happened to them.
        audit: Where it is noted who saw or changed one.
        seal: Opens them; None where no master key is set.
        asks: Asks providers whether they are good; None asks nobody.
        most: Of one owner.
    """

    def __init__(  # noqa: PLR0913 - each is a part of its own
        self,
        keys: VaultKeys,
        book: VaultBook,
        audit: Audit,
        seal: Seal | None,
        clock: Clock,
        asks: Asks | None = None,
        *,
        most: int = 200,
    ) -> None:
        self.keys, self.book, self.clock = keys, book, clock
        self._audit, self._made, self._asks, self._most = audit, seal, asks, most

    @property
    def ready(self) -> bool:
        """Whether there is a master key."""
        return self._made is not None

    @property
    def seal(self) -> Seal:
        """What seals and opens.

        Raises:
            ConfigurationInvalid: There is no master key.
        """
        if self._made is None:
            raise ConfigurationInvalid(
                "Nothing seals users' keys here: set CARTRITA_KEYSTORE__MASTER_KEY or "
                "CARTRITA_KEYSTORE__MASTER_KEY_FILE (32 random bytes in base64)."
            )
        return self._made

    async def add(self, owner: Owner, given: NewKey) -> Held:
        """Keep a key.

        Raises:
            InvalidParameters: It has no value, or the name is taken (`KEY_TAKEN`).
            ResourceLimitExceeded: The owner has as many as one may.
            AuthorizationFailed: The owner has no account here.
        """
        value, now, key_id = _worth(given.value.get_secret_value()), self.clock.now(), new_id()
        key = VaultKey(
            key_id,
            owner.id,
            given.provider,
            given.name,
            now,
            now,
            now,
            category=given.category,
            visibility=given.visibility,
            scopes=given.scopes,
            tags=given.tags,
            metadata=given.metadata,
            expires_at=given.expires_at,
            rotate_days=given.rotate_days,
            rotate_policy=given.rotate_policy,
        )
        version = self._sealed(key, 1, value, "created")
        added = await self.keys.add(key, version, self._most)
        if added == "taken":
            wrong = f"you have one of that name for {given.provider!r} already"
            raise InvalidParameters(f"'key_name': {wrong}.", KEY_TAKEN, [("key_name", wrong)])
        if added == "full":
            raise ResourceLimitExceeded(f"{self._most} keys are kept already: delete some.")
        if added == "nobody":
            raise AuthorizationFailed("Keys are kept for accounts of this instance only.")
        await self._tell(owner, "key_created", f"{key.name!r} was added", key)
        return Held(key, version)

    async def find(self, owner: Owner, key_id: str) -> Held:
        """Return a key.

        Raises:
            NotFound: There is none, or it is somebody else's.
        """
        found = await self.keys.find(owner.id, key_id)
        if found is None:
            raise NotFound("There is no such key.")
        return found

    async def named(self, owner: Owner, provider: str, name: str) -> Held:
        """Return the key of a name; raises as `find` does."""
        found = await self.keys.named(owner.id, provider, name)
        if found is None:
            raise NotFound("There is no such key.")
        return found

    async def change(self, owner: Owner, key_id: str, **changes: Any) -> VaultKey:
        """Change what is not the value; raises as `find` does."""
        held = await self.find(owner, key_id)
        changed = replace(held.key, **changes, updated_at=self.clock.now())
        if not await self.keys.change(changed):
            raise NotFound("There is no such key.")
        what = ", ".join(sorted(changes))
        await self._tell(owner, "key_changed", f"{changed.name!r} was changed: {what}", changed)
        return changed

    async def rotate(
        self, owner: Owner, held: Held, text: str, reason: str = "", *, preserve: bool = True
    ) -> Version:
        """Give a key another value; the last twenty are kept, sealed, or none but the new one.

        Raises:
            InvalidParameters: It is the one that it has, or none.
            ServiceUnavailable: Somebody else gave it one just now.
        """
        value, key = _worth(text), held.key
        if secrets.compare_digest(self.value(held).encode(), value.encode()):
            same = [("new_key_value", "is the value that it has")]
            raise InvalidParameters("The new value is the old one.", fields=same)
        version = self._sealed(key, key.version + 1, value, reason)
        keep = KEPT_VERSIONS if preserve else 1
        if not await self.keys.put(owner.id, key.id, version, keep):
            raise ServiceUnavailable("The key was changed meanwhile: look again.", retry_after=1)
        await self._tell(owner, "key_rotated", f"{key.name!r} has a new value", key)
        return version

    async def remove(self, owner: Owner, key_id: str) -> None:
        """Delete a key; for thirty days it can be brought back. Raises as `find` does."""
        held = await self.find(owner, key_id)
        if not await self.keys.remove(owner.id, key_id, self.clock.now()):
            raise NotFound("There is no such key.")
        told = f"{held.key.name!r} was deleted"
        await self._tell(owner, "key_deleted", told, held.key, "warning")

    async def restore(self, owner: Owner, provider: str, name: str) -> bool:
        """Bring back the key of a name that was deleted last, if there is one."""
        if not await self.keys.restore(owner.id, provider, name, self.clock.now()):
            return False
        held = await self.named(owner, provider, name)
        await self._tell(owner, "key_restored", f"{name!r} was brought back", held.key)
        return True

    async def judged(self, owner: Owner, held: Held) -> Verdict:
        """Return whether a key is good, as far as that can be known."""
        provider = provider_of(held.key.provider)
        verdict = await verdict_of(self._asks, provider, self.value(held))
        await self.keys.touch(owner.id, held.key.id, self.clock.now())
        told = f"{held.key.name!r} is {'good' if verdict.valid else 'not good'} ({verdict.method})"
        severity: Severity = "info" if verdict.valid else "warning"
        await self._tell(owner, "key_validated", told, held.key, severity)
        return verdict

    async def reveal(self, owner: Owner, held: Held) -> str:
        """Return a key's value; that somebody saw it is noted before it is shown."""
        key = held.key
        value = self.value(held)
        await self._tell(owner, "key_revealed", f"{key.name!r} was shown", key, "warning")
        await self.keys.touch(owner.id, key.id, self.clock.now())
        if self.seal.stale(held.version.sealed):
            again = replace(
                held.version,
                sealed=self.seal.close(value, place(key.owner, key.id, key.version)),
                checksum=self.seal.checksum(value),
            )
            await self.keys.reseal(owner.id, key.id, again)
        return value

    async def token(self, owner: Owner, key_id: str) -> tuple[str, float]:
        """Return a token that shows a key once, and until when it is good."""
        await self.find(owner, key_id)
        chosen, now = await self.preferences(owner), self.clock.now()
        token, until = secrets.token_urlsafe(32), now + chosen.reveal_timeout
        await self.book.grant(_digest(token), owner.actor, key_id, now, until)
        return token, until

    async def spend(self, owner: Owner, token: str) -> tuple[VaultKey, str]:
        """Show what a token is for.

        Raises:
            AuthenticationFailed: It is not good, or not any more, or somebody else's.
        """
        key_id = await self.book.spend(_digest(token), owner.actor, self.clock.now())
        held = await self.keys.find(owner.id, key_id) if key_id else None
        if held is None:
            await self._tell(
                owner, "reveal_refused", "A reveal token was not good", None, "warning"
            )
            raise AuthenticationFailed("The reveal token is not good, or not any more.", TOKEN_BAD)
        return held.key, await self.reveal(owner, held)

    async def preferences(self, owner: Owner) -> Preferences:
        """Return how somebody wants secrets shown."""
        return preferences_of(await self.book.preferences(owner.actor))

    async def prefer(self, owner: Owner, chosen: Mapping[str, Any]) -> Preferences:
        """Change that.

        Raises:
            InvalidParameters: Something of it cannot be chosen.
        """
        after = preferences_of(chosen, await self.preferences(owner))
        await self.book.prefer(owner.actor, after.model_dump())
        await self._tell(owner, "preferences_changed", "Masking preferences were changed", None)
        return after

    async def close(self) -> None:
        """Ask no provider any more."""
        if self._asks:
            await self._asks.close()

    async def report(self, event: VaultEvent) -> None:
        """Note something that is not about one key."""
        await self.book.note(event, KEPT_EVENTS)

    def value(self, held: Held) -> str:
        """Return a key's value, for what shows no more of it than a mask; nothing is noted.

        Raises:
            ConfigurationInvalid: It cannot be opened here.
            InternalFailure: It was changed or moved.
        """
        key = held.key
        return self.seal.open(held.version.sealed, place(key.owner, key.id, held.version.number))

    def _sealed(self, key: VaultKey, number: int, value: str, reason: str) -> Version:
        sealed = self.seal.close(value, place(key.owner, key.id, number))
        return Version(number, sealed, self.seal.checksum(value), self.clock.now(), reason)

    async def _tell(
        self,
        owner: Owner,
        kind: str,
        description: str,
        key: VaultKey | None,
        severity: Severity = "info",
    ) -> None:
        """Note what somebody did: for themselves in the book, for administrators in the audit."""
        now = self.clock.now()
        about = {"keyId": key.id, "provider": key.provider} if key else {}
        event = VaultEvent(owner.actor, kind, f"{description}.", now, severity, about)
        await self.book.note(event, KEPT_EVENTS)
        target = key.id if key else owner.actor
        await self._audit.note(AuditEntry(now, owner.actor, kind.upper(), target, "done", about))


def due_at(key: VaultKey) -> float | None:
    """Return when a key is due for another value, in Unix seconds."""
    return None if key.rotate_days is None else key.rotated_at + key.rotate_days * DAY


def seen(held: Held) -> dict[str, Any]:
    """Return a key as v2 shows it, its value apart."""
    key, due = held.key, due_at(held.key)
    return {
        "id": key.id,
        "key_name": key.name,
        "provider_id": key.provider,
        "usage_count": key.used,
        "last_used_at": iso(key.last_used_at) if key.last_used_at else None,
        "is_active": key.active,
        "expires_at": iso(key.expires_at) if key.expires_at else None,
        "created_at": iso(key.created_at),
        "updated_at": iso(key.updated_at),
        "rotation_interval_days": key.rotate_days,
        "next_rotation_at": iso(due) if due else None,
        "rotation_policy": key.rotate_policy or None,
        "visibility": key.visibility,
        "category": key.category or None,
        "checksum": held.version.checksum,
        "metadata": dict(key.metadata),
        "version": key.version,
        "has_key": True,
    }


def _worth(text: str) -> str:
    value = text.strip()
    if not 1 <= len(value) <= LONGEST:
        wrong = f"takes 1 to {LONGEST} characters"
        raise InvalidParameters(f"'key_value' {wrong}.", fields=[("key_value", wrong)])
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidParameters("'key_value' must be valid Unicode.") from None
    return value


def _digest(token: str) -> bytes:
    return sha256(token[:128].encode("utf-8", "surrogatepass")).digest()
