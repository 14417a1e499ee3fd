"""How somebody wants to be spoken to: one document with three faces in v2."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cartrita.errors import InvalidParameters
from cartrita.people.desk import PeopleDesk
from cartrita.storage.people import Document

KIND, BACKUP = "preferences", "preferences.backup"
MOST_BACKUPS, LONGEST_NAME = 20, 100

_SYNONYMS = {"concise": "minimal", "detailed": "verbose"}
"""What `/api/user/settings` says for what `/api/user/preferences` says."""

_SAYS = {
    "sarcasm_level": "Sarcasm level must be between 0 and 10",
    "verbosity": "Verbosity must be one of: concise, normal, detailed (minimal, verbose)",
}
"""v2's words."""


def _canonical(value: Any) -> Any:
    return _SYNONYMS.get(value, value) if isinstance(value, str) else value


Word = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[\w./ +-]+$")]


class Preferences(BaseModel):
    """What can be set, and how it is until somebody does."""

    model_config = ConfigDict(strict=True, frozen=True)

    sarcasm_level: Annotated[int, Field(ge=0, le=10)] = 5
    verbosity: Annotated[Literal["minimal", "normal", "verbose"], BeforeValidator(_canonical)] = (
        "normal"
    )
    humor_style: Word = "playful"
    language_preference: Word = "en"
    timezone: Word = "UTC"
    theme: Word = "dark"
    notifications_enabled: bool = True
    voice_enabled: bool = False
    voice_responses: bool = False
    ambient_listening: bool = False
    sound_effects: bool = True
    camera_enabled: bool = False
    auto_save: bool = True


PROFILES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "productivity_focused": {
            "sarcasm_level": 1,
            "verbosity": "minimal",
            "humor_style": "none",
        },
        "creative_companion": {
            "sarcasm_level": 4,
            "verbosity": "verbose",
            "humor_style": "playful",
        },
        "analytical_assistant": {
            "sarcasm_level": 2,
            "verbosity": "verbose",
            "humor_style": "dry",
        },
        "casual_conversation": {
            "sarcasm_level": 6,
            "verbosity": "normal",
            "humor_style": "playful",
        },
        "learning_mode": {
            "sarcasm_level": 2,
            "verbosity": "verbose",
            "humor_style": "none",
        },
    }
)
"""v2's five names; what they set is ours."""


def checked(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes in what a client sent; what is null or unknown is left out.

    Raises:
        InvalidParameters: One is out of its range, or there is none.
    """
    said = {name: told[name] for name in Preferences.model_fields if told.get(name) is not None}
    if not said:
        raise InvalidParameters("No valid settings provided")
    try:
        changes = Preferences.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name, told_of = str(first["loc"][0]), str(first["msg"])
        words = _SAYS.get(name, f"{name}: {told_of}")
        raise InvalidParameters(words, fields=[(name, told_of)]) from None
    return changes.model_dump(include=changes.model_fields_set)


def whole(document: Document | None) -> dict[str, Any]:
    """Return all preferences, those that nobody set as they usually are."""
    return {**Preferences().model_dump(), **(document.value if document else {})}


class PreferenceDesk:
    """Reads and changes preferences.

    Args:
        desk: Whose they are.
    """

    def __init__(self, desk: PeopleDesk) -> None:
        self._documents, self._clock = desk.kept.documents, desk.clock

    async def get(self, user_id: str) -> dict[str, Any]:
        """Return somebody's."""
        return whole(await self._documents.get(user_id, KIND))

    async def change(self, user_id: str, told: Mapping[str, Any]) -> dict[str, Any]:
        """Change what was told; return all."""
        now = self._clock.now()
        return whole(await self._documents.merge(user_id, KIND, checked(told), now))

    async def apply(self, user_id: str, profile: str) -> dict[str, Any]:
        """Change what one of the profiles sets.

        Raises:
            InvalidParameters: There is no such profile.
        """
        if profile not in PROFILES:
            raise InvalidParameters(
                f"Profile must be one of: {', '.join(PROFILES)}",
                fields=[("profile_name", "is no profile")],
            )
        return await self.change(user_id, PROFILES[profile])

    async def back_up(self, user_id: str, name: str) -> Document | None:
        """Keep a copy; None when there are `MOST_BACKUPS` already."""
        value = {"name": name[:LONGEST_NAME], "settings": await self.get(user_id)}
        now = self._clock.now()
        return await self._documents.add(user_id, BACKUP, value, now, MOST_BACKUPS)
