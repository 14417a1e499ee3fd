"""Tests of cartrita/providers/embedded/minilm.py that need no weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.errors import ModelRequired
from cartrita.providers.embedded import minilm
from cartrita.providers.embedded.minilm import BATCH_TOKENS, MiniLm, batches


async def test_nothing_gives_no_rows_and_loads_nothing(tmp_path):
    vectors = await MiniLm(tmp_path).embed([])
    assert vectors.shape == (0, 384)
    assert vectors.dtype == np.float32


async def test_missing_weights_name_the_line_to_run(tmp_path):
    with pytest.raises(ModelRequired, match="make model"):
        await MiniLm(tmp_path).embed(["hello"])


async def test_a_missing_package_names_the_line_to_run(monkeypatch):
    monkeypatch.setattr(minilm, "PACKAGE", "cartrita_no_such_package")
    with pytest.raises(ModelRequired, match="make model"):
        await MiniLm().count_tokens(["hello"])


async def test_other_weights_are_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(ModelRequired, match="other weights"):
        await MiniLm(tmp_path).embed(["hello"])


@given(st.lists(st.integers(min_value=2, max_value=256), max_size=200))
def test_batches_hold_every_row_once_and_bound_the_padded_size(lengths):
    groups = list(batches(lengths))
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    assert all(len(group) * max(lengths[row] for row in group) <= BATCH_TOKENS for group in groups)
