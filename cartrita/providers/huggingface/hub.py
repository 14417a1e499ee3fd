"""Fetches models from the Hugging Face hub."""

from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from cartrita.errors import (
    CartritaError,
    ConfigurationInvalid,
    ModelRequired,
    NetworkFailed,
    ResourceLimitExceeded,
)

WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.spm")
"""No pickles and no code, whatever a repository holds."""


class Hub:
    """Fetches the safe files of a model into a folder, once.

    Args:
        cache: Where they are kept.
        token: For models that are not everybody's.
        url: The hub's address; Hugging Face's own by default.
        most_mb: The largest model that is fetched.
    """

    def __init__(self, cache: Path, token: str | None, url: str | None, most_mb: float) -> None:
        self._cache, self._token, self._url, self._most_mb = cache, token, url, most_mb

    def fetch(self, name: str) -> Path:
        """Return the folder of a model; blocks while it is fetched.

        Raises:
            ModelRequired: The hub has no such model for us.
            NetworkFailed: It cannot be reached.
            ResourceLimitExceeded: The model is too large.
            ConfigurationInvalid: It has no weights in safetensors format.
        """
        import huggingface_hub as hub  # noqa: PLC0415 - takes a second

        hub.utils.disable_progress_bars()
        api = hub.HfApi(endpoint=self._url, token=self._token)
        told = self._asked(name, lambda: api.model_info(name, files_metadata=True))
        sizes = {one.rfilename: one.size or 0 for one in told.siblings or ()}
        weights = sum(n for file, n in sizes.items() if file.endswith(".safetensors")) / (1 << 20)
        if not weights:
            raise ConfigurationInvalid(
                f"{name!r} has no weights in safetensors format at the hub: take another model."
            )
        wanted = [n for file, n in sizes.items() if any(fnmatch(file, one) for one in WANTED)]
        whole = sum(wanted) / (1 << 20)
        if whole > self._most_mb:
            raise ResourceLimitExceeded(
                f"{name!r} takes {whole:.0f} MB, and `huggingface.most_mb` allows "
                f"{self._most_mb:.0f}: take a smaller one, or raise that."
            )
        fetched = self._asked(
            name,
            lambda: api.snapshot_download(
                name, revision=told.sha, cache_dir=self._cache, allow_patterns=list(WANTED)
            ),
        )
        return Path(fetched)

    def _asked(self, name: str, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except Exception as error:
            raise self._typed(name, error) from error

    def _typed(self, name: str, error: Exception) -> CartritaError:
        import huggingface_hub.errors as known  # noqa: PLC0415 - as above

        if isinstance(error, known.RepositoryNotFoundError | known.GatedRepoError):
            return ModelRequired(
                f"The hub has no model {name!r} for us: see its name, or set HUGGINGFACE_API_KEY "
                "to a token that may read it."
            )
        return NetworkFailed(
            f"{name!r} could not be fetched from the hub ({type(error).__name__}); see "
            "`huggingface.hub_url`."
        )
