"""What is kept of somebody: consents, a copy to take away, and deleting parts of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from cartrita.auth.apikeys import MOST, KeyDesk
from cartrita.clock import iso
from cartrita.errors import InvalidParameters
from cartrita.people import personas, preferences
from cartrita.people.desk import PeopleDesk
from cartrita.protocol.principal import Principal
from cartrita.storage.people import Document
from cartrita.storage.threads import Said

CONSENT, REQUEST = "consent", "privacy.request"
MOST_CONSENTS, MOST_REQUESTS = 50, 100
LONGEST_KIND = 60
MOST_SAID = 1000
"""Messages in a copy: the last ones."""

CONVERSATIONS = ("conversations", "chat_conversations", "chat_history")
"""Names of v2 for the same thing."""

SETTINGS = {
    "preferences": preferences.KIND,
    "settings": preferences.KIND,
    "persona": personas.KIND,
    "consent": CONSENT,
}


class PrivacyDesk:
    """Tells somebody what is kept of them, and forgets it.

    Args:
        desk: Whose it is.
        keys: Lists API keys, without their secrets.
    """

    def __init__(self, desk: PeopleDesk, keys: KeyDesk) -> None:
        self._desk, self._keys = desk, keys
        self._documents, self._clock = desk.kept.documents, desk.clock

    async def consents(self, user_id: str) -> list[dict[str, Any]]:
        """Return what somebody consented to or did not."""
        document = await self._documents.get(user_id, CONSENT)
        told = document.value if document else {}
        return [{"consent_type": name, **told[name]} for name in sorted(told)]

    async def consent(self, user_id: str, records: Sequence[Any]) -> list[dict[str, Any]]:
        """Note what somebody consents to or does not; return all.

        Raises:
            InvalidParameters: A record is wrong, or there are too many.
        """
        now = self._clock.now()
        told = {
            kind: {"consent_given": given, "consent_date": iso(now)}
            for kind, given in map(_consent, records[: MOST_CONSENTS + 1])
        }
        if not 0 < len(told) <= MOST_CONSENTS:
            raise InvalidParameters(f"consent_records takes 1 to {MOST_CONSENTS} records")
        await self._documents.merge(user_id, CONSENT, told, now)
        return await self.consents(user_id)

    async def copy(self, who: Principal) -> dict[str, Any]:
        """Return what is kept of somebody, but for tasks, which `GET /v3/tasks` lists."""
        person = await self._desk.profile(who.user)
        user, kept = person.user, self._desk.kept
        said = await kept.history.page(user.tenant, user.id, MOST_SAID, 0)
        keys = await self._keys.page(who.alone, MOST, None)
        return {
            "person": person,
            "settings": preferences.whole(await self._documents.get(user.id, preferences.KIND)),
            "persona": await personas.PersonaDesk(self._desk).get(user.id),
            "presets": [dict(one.value) for one in await self._presets(user.id)],
            "consents": await self.consents(user.id),
            "conversations": [_message(one) for one in said],
            "api_keys": [{"name": key.name, "created_at": iso(key.created_at)} for key in keys],
        }

    async def request(self, user_id: str, kind: str, detail: Mapping[str, Any]) -> Document:
        """Note that somebody asked for something about their data.

        Raises:
            InvalidParameters: They have asked too often.
        """
        value = {"type": kind, **detail}
        now = self._clock.now()
        made = await self._documents.add(user_id, REQUEST, value, now, MOST_REQUESTS)
        if made is None:
            raise InvalidParameters(f"You have made {MOST_REQUESTS} requests already")
        return made

    async def requests(self, user_id: str) -> list[Document]:
        """Return what somebody asked for, newest first."""
        return await self._documents.list(user_id, REQUEST)

    async def clear_conversations(self, user_id: str) -> int:
        """Delete somebody's conversations; return how many there were."""
        user = (await self._desk.profile(user_id)).user
        return await self._desk.kept.history.clear(user.tenant, user.id)

    async def forget(self, user_id: str, kinds: Sequence[Any]) -> dict[str, int]:
        """Delete parts of what is kept; return how much of each there was.

        Raises:
            InvalidParameters: One is nothing that is kept here; then nothing is deleted.
        """
        known = (*CONVERSATIONS, *SETTINGS)
        unknown = [str(kind)[:50] for kind in kinds if kind not in known]
        if unknown or not kinds:
            names = ", ".join([CONVERSATIONS[0], *SETTINGS])
            raise InvalidParameters(
                f"data_types must be some of: {names}",
                fields=[("data_types", f"{unknown[0]!r} is not kept here" if unknown else "empty")],
            )
        return {kind: await self._forget(user_id, kind) for kind in dict.fromkeys(kinds)}

    async def _forget(self, user_id: str, kind: str) -> int:
        if kind in CONVERSATIONS:
            return await self.clear_conversations(user_id)
        return int(await self._documents.remove(user_id, SETTINGS[kind]))

    async def _presets(self, user_id: str) -> list[Document]:
        return await self._documents.list(user_id, personas.PRESET)


def _consent(record: Any) -> tuple[str, bool]:
    kind = record.get("consent_type") if isinstance(record, Mapping) else None
    given = record.get("consent_given") if isinstance(record, Mapping) else None
    if not isinstance(kind, str) or not isinstance(given, bool) or not kind.strip():
        raise InvalidParameters(
            "Each consent record must have consent_type and consent_given (boolean)",
            fields=[("consent_records", "a record is wrong")],
        )
    return kind.strip()[:LONGEST_KIND], given


def _message(said: Said) -> dict[str, Any]:
    return {
        "session_id": said.session,
        "speaker": said.role,
        "text": said.content,
        "created_at": iso(said.said_at),
    }
