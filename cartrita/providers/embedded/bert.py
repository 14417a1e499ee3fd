"""Runs a BERT encoder with numpy alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

EPSILON = 1e-12
"""`layer_norm_eps` of most checkpoints."""

_CHUNK = 32_768
"""Floats per step of GELU: its temporaries then stay in the second-level cache."""

# Rational approximation of erf on [-4, 4] in single precision, from Eigen's
# `generic_fast_erf_float`; off by less than 5e-7. numpy has no erf of its own.
_ALPHA = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_BETA = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Evaluate a polynomial by Horner's rule, highest power first."""
    result = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result *= x
        result += np.float32(coefficient)
    return result


def erf(x: Array) -> Array:
    """Return the error function of `x`, in single precision."""
    clipped = np.clip(x, -4, 4)
    square = clipped * clipped
    clipped *= _polynomial(_ALPHA, square)
    clipped /= _polynomial(_BETA, square)
    return clipped


def _gelu(x: Array) -> None:
    """Replace `x` by x * Phi(x), in place."""
    flat = x.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        weight = erf(part * np.float32(0.5**0.5))
        weight += 1
        weight *= np.float32(0.5)
        part *= weight


@dataclass(frozen=True, slots=True)
class _Dense:
    """A linear map; `weight` has shape (inputs, outputs)."""

    weight: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        # As one matrix: over three axes numpy would multiply text by text, half as fast.
        result: Array = x.reshape(-1, x.shape[-1]) @ self.weight
        result += self.bias
        return result.reshape(*x.shape[:-1], -1)


@dataclass(frozen=True, slots=True)
class _Norm:
    """Layer normalisation over the last axis, in place."""

    weight: Array
    bias: Array
    epsilon: np.float32

    def __call__(self, x: Array) -> Array:
        x -= x.mean(axis=-1, keepdims=True)
        variance = np.einsum("...i,...i->...", x, x)[..., None] / np.float32(x.shape[-1])
        x /= np.sqrt(variance + self.epsilon)
        x *= self.weight
        x += self.bias
        return x


@dataclass(frozen=True, slots=True)
class _Layer:
    """One transformer layer; query, key and value are one map of three times the width."""

    qkv: _Dense
    attended: _Dense
    attention_norm: _Norm
    widen: _Dense
    narrow: _Dense
    output_norm: _Norm


class Bert:
    """A BERT encoder with pooling.

    Args:
        weights: The checkpoint's tensors by their Hugging Face names, float32.
        heads: Attention heads per layer.
        epsilon: Of its layer normalisation.
        first: The first token's state is the text's vector, not the mean of all.
    """

    def __init__(
        self,
        weights: Mapping[str, Array],
        heads: int,
        *,
        epsilon: float = EPSILON,
        first: bool = False,
    ) -> None:
        self._heads, self._first, small = heads, first, np.float32(epsilon)
        self._words = weights["embeddings.word_embeddings.weight"]
        # Every input is one segment, so the segment's vector is part of each position's.
        self._positions = (
            weights["embeddings.position_embeddings.weight"]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = _norm(weights, "embeddings.LayerNorm", small)
        count = 0
        while f"encoder.layer.{count}.output.dense.weight" in weights:
            count += 1
        self._layers = [_layer(weights, f"encoder.layer.{index}", small) for index in range(count)]

    def encode(self, batch: Sequence[Sequence[int]]) -> Array:
        """Return one vector of length 1 per row of token ids, shape (rows, width)."""
        lengths = np.array([len(row) for row in batch])
        longest = int(lengths.max())
        ids = np.zeros((len(batch), longest), dtype=np.int64)
        for row, tokens in zip(ids, batch, strict=True):
            row[: len(tokens)] = tokens
        present = np.arange(longest) < lengths[:, None]
        x: Array = self._norm(self._words[ids] + self._positions[:longest])
        hidden = np.where(present, np.float32(0), np.finfo(np.float32).min)[:, None, None, :]
        for layer in self._layers:
            x = self._run(layer, x, hidden)
        return _unit(x[:, 0]) if self._first else _pool(x, present)

    def _run(self, layer: _Layer, x: Array, hidden: Array) -> Array:
        attended = layer.attended(self._attention(layer.qkv(x), hidden))
        attended += x
        x = layer.attention_norm(attended)
        wide = layer.widen(x)
        _gelu(wide)
        narrow = layer.narrow(wide)
        narrow += x
        return layer.output_norm(narrow)

    def _attention(self, qkv: Array, hidden: Array) -> Array:
        """Return softmax(q k / sqrt(d)) v; `hidden` is added to the scores."""
        rows, tokens, width = qkv.shape
        depth = width // 3 // self._heads
        query, key, value = qkv.reshape(rows, tokens, 3, self._heads, depth).transpose(
            2, 0, 3, 1, 4
        )
        scores: Array = (query * np.float32(depth**-0.5)) @ key.swapaxes(-1, -2)
        scores += hidden
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed: Array = (scores @ value).transpose(0, 2, 1, 3)
        return mixed.reshape(rows, tokens, width // 3)


def _pool(x: Array, present: npt.NDArray[np.bool_]) -> Array:
    """Average the tokens that are there and scale to length 1."""
    weights = present.astype(np.float32)[:, :, None]
    return _unit((x * weights).sum(axis=1) / weights.sum(axis=1))


def _unit(rows: Array) -> Array:
    scaled: Array = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def _dense(weights: Mapping[str, Array], *names: str) -> _Dense:
    """Join linear maps that share an input into one."""
    weight = np.concatenate([weights[f"{name}.weight"] for name in names]).T
    bias = np.concatenate([weights[f"{name}.bias"] for name in names])
    return _Dense(np.ascontiguousarray(weight), bias)


def _norm(weights: Mapping[str, Array], name: str, epsilon: np.float32) -> _Norm:
    return _Norm(weights[f"{name}.weight"], weights[f"{name}.bias"], epsilon)


def _layer(weights: Mapping[str, Array], name: str, epsilon: np.float32) -> _Layer:
    own = f"{name}.attention.self"
    return _Layer(
        qkv=_dense(weights, f"{own}.query", f"{own}.key", f"{own}.value"),
        attended=_dense(weights, f"{name}.attention.output.dense"),
        attention_norm=_norm(weights, f"{name}.attention.output.LayerNorm", epsilon),
        widen=_dense(weights, f"{name}.intermediate.dense"),
        narrow=_dense(weights, f"{name}.output.dense"),
        output_norm=_norm(weights, f"{name}.output.LayerNorm", epsilon),
    )
