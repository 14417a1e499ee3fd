"""Embeds texts with a sentence-transformers model from a folder, on numpy."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from cartrita.errors import ConfigurationInvalid
from cartrita.providers.embedded.bert import Bert
from cartrita.providers.embedded.lane import Lane
from cartrita.providers.embedded.minilm import batches, tokenize
from cartrita.providers.ports import ModelInfo, Vectors

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
LONGEST = 512

_LANE = Lane("encoder", callers=64)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the files of a model say of it.

    Attributes:
        longest: Tokens of a text that are read.
        first: The first token's state is the text's vector, not the mean of all.
    """

    dimensions: int
    heads: int
    epsilon: float
    longest: int
    first: bool


class FolderEncoder:
    """A model of the BERT family, such as bge, e5, gte and the MiniLMs are; no torch.

    Its name is kept with its vectors: other weights need another folder's name.

    Args:
        name: The folder's.
        folder: As sentence-transformers saves a model.

    Raises:
        ConfigurationInvalid: It is none that can be run here; the message says why.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder
        self._shape = _shape(name, folder)
        self.dimensions = self._shape.dimensions
        self.info = ModelInfo(
            model=name,
            provider="huggingface",
            generative=False,
            limitations=(f"Reads the first {self._shape.longest} tokens of a text.",),
        )
        self._model: tuple[Tokenizer, Bert] | None = None

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text, in order, normalised, float32.

        Raises:
            ConfigurationInvalid: The files are not what they should be.
            QueueFull: Too many callers wait for the model.
        """
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        if not texts:
            return vectors
        with _LANE.place():
            tokenizer, bert = await _LANE.run(self._load)
            tokens = await _LANE.run(tokenize, tokenizer, texts)
            for rows in batches([len(row) for row in tokens]):
                vectors[rows] = await _LANE.run(bert.encode, [tokens[row] for row in rows])
        return vectors

    def _load(self) -> tuple[Tokenizer, Bert]:
        """Read the model once; runs in the lane."""
        if self._model is None:
            shape = self._shape
            try:
                tokenizer = Tokenizer.from_file(str(self._folder / TOKENIZER))
                weights = load_file(self._folder / WEIGHTS)
                floats = {
                    key.removeprefix("bert."): value.astype(np.float32)
                    for key, value in weights.items()
                    if np.issubdtype(value.dtype, np.floating)
                }
                bert = Bert(floats, shape.heads, epsilon=shape.epsilon, first=shape.first)
            except (OSError, KeyError, ValueError, TypeError, SafetensorError) as error:
                raise ConfigurationInvalid(
                    f"The embedding model {self._name!r} cannot be read: {error!r}"
                ) from error
            tokenizer.enable_truncation(shape.longest)
            tokenizer.no_padding()
            self._model = tokenizer, bert
        return self._model


def _shape(name: str, folder: Path) -> _Shape:
    missing = [file for file in (CONFIG, WEIGHTS, TOKENIZER) if not (folder / file).is_file()]
    if missing:
        raise ConfigurationInvalid(f"The embedding model {name!r} has no {', '.join(missing)}.")
    config = _json(folder / CONFIG)
    kind, act = config.get("model_type"), config.get("hidden_act", "gelu")
    position = config.get("position_embedding_type", "absolute")
    if (kind, act, position) != ("bert", "gelu", "absolute"):
        raise ConfigurationInvalid(
            f"The embedding model {name!r} is of the kind {kind!r} with {act!r}; those of the "
            "BERT family run here. Others can be served by an OpenAI-compatible server: set "
            "embeddings.provider to 'openai' and OPENAI_BASE_URL."
        )
    pooling = _json(folder / "1_Pooling" / CONFIG)
    first = bool(pooling.get("pooling_mode_cls_token"))
    if pooling and not first and not pooling.get("pooling_mode_mean_tokens"):
        raise ConfigurationInvalid(f"The embedding model {name!r} pools in an unknown way.")
    told = _json(folder / "sentence_bert_config.json").get("max_seq_length") or LONGEST
    return _Shape(
        dimensions=int(config["hidden_size"]),
        heads=int(config["num_attention_heads"]),
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        longest=min(int(told), int(config.get("max_position_embeddings", LONGEST))),
        first=first,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except OSError:
        return {}
    except ValueError as error:
        raise ConfigurationInvalid(f"{path.name!r} of an embedding model is no JSON.") from error
    return told if isinstance(told, dict) else {}
