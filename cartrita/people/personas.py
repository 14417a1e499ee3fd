"""Somebody's persona and the ones they keep for later."""

from collections.abc import Mapping
from typing import Any

from cartrita.errors import NotFound, ResourceLimitExceeded
from cartrita.people.desk import PeopleDesk
from cartrita.people.persona import LONGEST_NAME, normalised
from cartrita.storage.people import Document

KIND, PRESET = "persona", "persona.preset"
MOST_PRESETS = 50


class PersonaDesk:
    """Reads and changes personas.

    Args:
        desk: Whose they are.
    """

    def __init__(self, desk: PeopleDesk) -> None:
        self._documents, self._clock = desk.kept.documents, desk.clock

    async def get(self, user_id: str) -> dict[str, Any]:
        """Return somebody's."""
        document = await self._documents.get(user_id, KIND)
        return normalised(document.value if document else {})

    async def put(self, user_id: str, told: Mapping[str, Any]) -> dict[str, Any]:
        """Replace it, as v2 did: what is not told is as usual again."""
        now = self._clock.now()
        document = await self._documents.merge(user_id, KIND, normalised(told), now)
        return dict(document.value)

    async def presets(self, user_id: str) -> list[Document]:
        """Return what is kept for later, newest first."""
        return await self._documents.list(user_id, PRESET)

    async def add(self, user_id: str, name: str, told: Any) -> Document:
        """Keep one for later.

        Raises:
            ResourceLimitExceeded: There are too many.
        """
        value = {"name": name[:LONGEST_NAME], "persona_config": normalised(told)}
        now = self._clock.now()
        made = await self._documents.add(user_id, PRESET, value, now, MOST_PRESETS)
        if made is None:
            raise ResourceLimitExceeded(f"You have {MOST_PRESETS} presets: delete one of them.")
        return made

    async def remove(self, user_id: str, number: int) -> None:
        """Forget one.

        Raises:
            NotFound: There is none of this number.
        """
        if not await self._documents.remove(user_id, PRESET, number):
            raise NotFound(f"There is no preset {number} of yours.")
