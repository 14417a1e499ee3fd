"""Embeds texts with OpenAI, or with a server that speaks its protocol."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np

from cartrita.context import MOST_TOKENS
from cartrita.egress.policy import named_by_operators
from cartrita.egress.transport import GuardedTransport
from cartrita.errors import (
    AgentFailed,
    CartritaError,
    ConfigurationInvalid,
    ModelRequired,
    NetworkFailed,
    Reason,
)
from cartrita.protocol.patience import seconds_to_wait
from cartrita.providers.ports import ModelInfo, Vectors

OFFICIAL = "https://api.openai.com/v1"
DEFAULT = "text-embedding-3-small"
DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
"""Of what the models make when they are not told otherwise."""

READS = 8_192
"""Tokens of a text that those models read; a longer one is refused."""

CONNECT_SECONDS = 10.0
TIMEOUT = 60.0
"""Seconds of one request, from the connection to the last byte."""

LONGEST_DETAIL = 300
FIRST_SERVER_ERROR = 500
TOO_MANY = 429
BUSY = (408, 409, 425, TOO_MANY)
NO_KEY = (401, 403)


class OpenAiEmbeddings:
    """Asks an OpenAI-compatible address for vectors.

    Args:
        api_key: Needed by OpenAI; most local servers want none.
        base_url: Such as `http://localhost:11434/v1`; OpenAI's own by default.
        model: The server's name for it.
        dimensions: What the server is asked for; the model's own by default.
        timeout: Seconds of one request.

    Raises:
        ConfigurationInvalid: How long its vectors are is not known.
    """

    def __init__(
        self,
        api_key: str | None,
        base_url: str | None = None,
        model: str | None = None,
        dimensions: int | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        if not (api_key or base_url):
            raise ConfigurationInvalid(
                "embeddings.provider is 'openai': set OPENAI_API_KEY, or OPENAI_BASE_URL."
            )
        self._model = model or DEFAULT
        known = DIMENSIONS.get(self._model)
        length = dimensions or known
        if length is None:
            raise ConfigurationInvalid(
                f"How long the vectors of {self._model!r} are is not known: set "
                "embeddings.dimensions."
            )
        self.dimensions = length
        self._asks = {"dimensions": length} if known and length != known else {}
        shorter = f"@{length}" if self._asks else ""
        self.info = ModelInfo(f"{self._model}{shorter}", "openai", generative=False)
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(named_by_operators(), connections=None, keep=20),
            base_url=base_url or OFFICIAL,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
        )
        self._timeout = timeout

    async def request(self, texts: Sequence[str]) -> tuple[Vectors, int | None]:
        """Return one row per text, normalised, float32, and the tokens that the server counts.

        Raises:
            NetworkFailed: The server cannot be reached, or is busy.
            ConfigurationInvalid: It refuses the key, or has vectors of another length.
            ModelRequired: It does not serve the model.
        """
        # A blank text is refused there, and has a vector here.
        given = [text or " " for text in texts]
        body = {"model": self._model, "input": given, "encoding_format": "float", **self._asks}
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.post("embeddings", json=body)
        except (httpx.HTTPError, TimeoutError) as error:
            raise NetworkFailed(
                f"The provider of {self._model!r} could not be reached, hung up or took too long; "
                "see OPENAI_BASE_URL."
            ) from error
        if response.status_code != httpx.codes.OK:
            raise self._refused(response)
        try:
            told = response.json()
            rows = sorted(told["data"], key=lambda row: int(row["index"]))
            vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
            tokens = _tokens(told.get("usage"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AgentFailed(f"The provider of {self._model!r} answered no vectors.") from error
        if vectors.shape != (len(texts), self.dimensions):
            raise ConfigurationInvalid(
                f"{self._model!r} made vectors of shape {vectors.shape}, not "
                f"{(len(texts), self.dimensions)}: set embeddings.dimensions to what it makes."
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        normalised: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
        return normalised, tokens

    def _refused(self, response: httpx.Response) -> CartritaError:
        status = response.status_code
        if status in NO_KEY:  # its message may repeat parts of the key
            return ConfigurationInvalid(
                f"The provider refused the API key for {self._model!r} ({status}): set "
                "OPENAI_API_KEY to one that may use it."
            )
        if status == httpx.codes.NOT_FOUND:
            return ModelRequired(f"The provider does not serve {self._model!r} for embeddings.")
        detail = " ".join(response.text.split())[:LONGEST_DETAIL]
        if status in BUSY or status >= FIRST_SERVER_ERROR:
            return NetworkFailed(
                f"The provider of {self._model!r} answered {status}: {detail}",
                Reason.PROVIDER_BUSY if status == TOO_MANY else None,
                retry_after=seconds_to_wait(response.headers.get("retry-after")),
            )
        return AgentFailed(f"The provider of {self._model!r} refused ({status}): {detail}")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _tokens(usage: Any) -> int | None:
    """Return what a server says it counted; None where it says nothing that can be charged."""
    told = (
        usage.get("prompt_tokens", usage.get("total_tokens")) if isinstance(usage, dict) else None
    )
    return told if isinstance(told, int) and 0 <= told <= MOST_TOKENS else None
