"""The folder with models, and which names lead into it."""

import re
from pathlib import Path

from cartrita.errors import ConfigurationInvalid

NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
"""A folder's name or a hub id. Nothing that leads upwards, and no path."""

LONGEST_NAME = 200


def well_formed(name: str) -> bool:
    """Tell whether this can be the name of a model: of a folder, or at the hub."""
    return len(name) <= LONGEST_NAME and NAME.fullmatch(name) is not None and ".." not in name


class ModelFolder:
    """Models by their folders' names.

    Args:
        root: What the operator named; without one there are none.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root

    def find(self, name: str) -> Path | None:
        """Return the folder of a model; None when there is none of that name."""
        if self._root is None or not well_formed(name):
            return None
        folder = self._root / name
        return folder if (folder / "config.json").is_file() else None


def weights_mb(folder: Path) -> float:
    """Return how large a model's weights are.

    Raises:
        ConfigurationInvalid: There are none in safetensors format; nothing else is read, as it
            may hold code.
    """
    files = list(folder.glob("*.safetensors"))
    if not files:
        raise ConfigurationInvalid(
            f"The model in {folder.name!r} has no weights in safetensors format, and other "
            "formats may run code when they are read: convert it, or take another model."
        )
    return sum(file.stat().st_size for file in files) / (1 << 20)
