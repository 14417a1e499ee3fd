"""Tests of cartrita/providers/embedded/encoder.py."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from cartrita.errors import ConfigurationInvalid
from cartrita.providers.embedded.encoder import FolderEncoder
from tests.support.bert import HEADS, POSITIONS, WIDTH, WORDS, by_the_book, random_weights

CONFIG = {
    "model_type": "bert",
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "max_position_embeddings": POSITIONS,
    "hidden_act": "gelu",
}


def save(folder, *, config=None, pooling=None, prefix="", kind=np.float32):
    folder.mkdir()
    weights = {f"{prefix}{name}": value.astype(kind) for name, value in random_weights().items()}
    weights["embeddings.position_ids"] = np.arange(POSITIONS)[None]
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG | (config or {})))
    words = Tokenizer(models.WordLevel({f"w{n}": n for n in range(WORDS)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    if pooling:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    return FolderEncoder("tiny", folder)


def ids(text):
    return [int(word[1:]) for word in text.split()]


@pytest.mark.parametrize("prefix", ["", "bert."])
async def test_texts_are_the_mean_of_their_tokens(tmp_path, prefix):
    encoder = save(tmp_path / "m", prefix=prefix)
    texts = ["w1 w2 w3", "w4", "w5 w6"]
    vectors = await encoder.embed(texts)
    assert encoder.dimensions == WIDTH
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(vector, by_the_book(random_weights(), ids(text)), atol=1e-5)


async def test_or_the_first_of_them_where_the_model_says_so(tmp_path):
    mean = save(tmp_path / "a", pooling={"pooling_mode_mean_tokens": True})
    first = save(tmp_path / "b", pooling={"pooling_mode_cls_token": True})
    one, two = await mean.embed(["w1 w2"]), await first.embed(["w1 w2"])
    assert not np.allclose(one, two, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(two, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(await first.embed(["w3"]), await mean.embed(["w3"]), atol=1e-6)


async def test_half_precision_is_read(tmp_path):
    encoder = save(tmp_path / "m", kind=np.float16)
    expected = by_the_book(random_weights(), ids("w1 w2"))
    np.testing.assert_allclose((await encoder.embed(["w1 w2"]))[0], expected, atol=2e-2)


async def test_what_is_longer_than_the_model_reads_is_cut(tmp_path):
    encoder = save(tmp_path / "m")
    long = " ".join(f"w{n % WORDS}" for n in range(50))
    cut = " ".join(long.split()[:POSITIONS])
    np.testing.assert_array_equal(await encoder.embed([long]), await encoder.embed([cut]))
    assert (await encoder.embed([])).shape == (0, WIDTH)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"model_type": "mpnet"}, "'mpnet'.*embeddings.provider"),
        ({"hidden_act": "relu"}, "'relu'"),
        ({"position_embedding_type": "relative_key"}, "BERT family"),
    ],
)
def test_other_architectures_are_refused_and_a_way_is_named(tmp_path, config, what):
    with pytest.raises(ConfigurationInvalid, match=what):
        save(tmp_path / "m", config=config)


def test_an_unknown_way_to_pool_is_refused(tmp_path):
    with pytest.raises(ConfigurationInvalid, match="pools"):
        save(tmp_path / "m", pooling={"pooling_mode_lasttoken": True})


def test_missing_files_are_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigurationInvalid, match=r"model\.safetensors, tokenizer\.json"):
        FolderEncoder("tiny", tmp_path)


async def test_files_that_are_broken_are_the_operator_s_to_mend(tmp_path):
    encoder = save(tmp_path / "m")
    (tmp_path / "m/model.safetensors").write_bytes(b"broken")
    with pytest.raises(ConfigurationInvalid, match="cannot be read"):
        await encoder.embed(["w1"])
