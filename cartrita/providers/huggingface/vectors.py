"""Embeds texts with a model at the inference API of Hugging Face."""

import asyncio
from collections.abc import Sequence

import httpx
import numpy as np

from cartrita.egress.policy import named_by_operators
from cartrita.egress.transport import GuardedTransport
from cartrita.errors import AgentFailed, ConfigurationInvalid, NetworkFailed
from cartrita.providers.huggingface.inference import CONNECT_SECONDS, OFFICIAL, refused
from cartrita.providers.ports import ModelInfo, Vectors

TIMEOUT = 60.0
"""Seconds of one request, from the connection to the last byte."""


class InferenceVectors:
    """Asks the API, or a server that speaks as it does, for vectors.

    Args:
        token: Sent as a bearer token, where there is one.
        model: A hub id.
        dimensions: How long its vectors are.
        url: Below which models answer; Hugging Face's own by default.
        timeout: Seconds of one request.

    Raises:
        ConfigurationInvalid: Something of that is missing.
    """

    def __init__(
        self,
        token: str | None,
        model: str | None,
        dimensions: int | None,
        url: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        if not (token or url):
            raise ConfigurationInvalid(
                "embeddings.provider is 'huggingface': set HUGGINGFACE_API_KEY, or "
                "huggingface.inference_url."
            )
        if not (model and dimensions):
            raise ConfigurationInvalid(
                "embeddings.provider is 'huggingface': set embeddings.model to a hub id, and "
                "embeddings.dimensions to the length of its vectors."
            )
        self._model, self._timeout, self.dimensions = model, timeout, dimensions
        self.info = ModelInfo(model, "huggingface", generative=False)
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(named_by_operators(), connections=None, keep=20),
            base_url=url or OFFICIAL,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
        )

    async def request(self, texts: Sequence[str]) -> tuple[Vectors, int | None]:
        """Return one row per text, normalised, float32; the API counts no tokens.

        Raises:
            NetworkFailed: It cannot be reached, or is busy.
            ConfigurationInvalid: It refuses the token, or has vectors of another form.
            ModelRequired: It has no such model.
        """
        path = f"models/{self._model}/pipeline/feature-extraction"
        body = {"inputs": [text or " " for text in texts], "normalize": True, "truncate": True}
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.post(path, json=body)
        except (httpx.HTTPError, TimeoutError) as error:
            raise NetworkFailed(
                f"The inference API of {self._model!r} could not be reached, hung up or took too "
                "long; see `huggingface.inference_url`."
            ) from error
        if response.status_code != httpx.codes.OK:
            raise refused(self._model, response, response.content)
        try:
            vectors = np.array(response.json(), dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise AgentFailed(
                f"The inference API answered no vectors: is {self._model!r} made for that?"
            ) from error
        if vectors.shape != (len(texts), self.dimensions):
            raise ConfigurationInvalid(
                f"{self._model!r} made vectors of shape {vectors.shape}, not "
                f"{(len(texts), self.dimensions)}: set embeddings.dimensions to what it makes, or "
                "name a model that makes one vector of a text."
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        even: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
        return even, None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
