"""A tiny text classifier with random weights, written without torch."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ["[PAD]", "[UNK]", "good", "bad", "news"]
WIDTH, INNER, POSITIONS = 8, 16, 32
LABELS = {0: "NEGATIVE", 1: "POSITIVE"}


def write(folder: Path) -> None:
    """Write a DistilBERT as transformers saves it."""
    folder.mkdir(parents=True)
    save_file(_weights(), folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["DistilBertForSequenceClassification"],
        "model_type": "distilbert",
        "dim": WIDTH,
        "hidden_dim": INNER,
        "n_layers": 1,
        "n_heads": 2,
        "vocab_size": len(WORDS),
        "max_position_embeddings": POSITIONS,
        "id2label": LABELS,
        "label2id": {label: number for number, label in LABELS.items()},
    }
    (folder / "config.json").write_text(json.dumps(config))
    numbers = {word: number for number, word in enumerate(WORDS)}
    words = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]"}
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": POSITIONS, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))


def _weights() -> dict[str, np.ndarray]:
    maps = {
        f"distilbert.transformer.layer.0.attention.{name}": (WIDTH, WIDTH)
        for name in ("q_lin", "k_lin", "v_lin", "out_lin")
    }
    maps |= {
        "distilbert.transformer.layer.0.ffn.lin1": (INNER, WIDTH),
        "distilbert.transformer.layer.0.ffn.lin2": (WIDTH, INNER),
        "pre_classifier": (WIDTH, WIDTH),
        "classifier": (len(LABELS), WIDTH),
    }
    norms = (
        "distilbert.embeddings.LayerNorm",
        "distilbert.transformer.layer.0.sa_layer_norm",
        "distilbert.transformer.layer.0.output_layer_norm",
    )
    shapes = {
        "distilbert.embeddings.word_embeddings.weight": (len(WORDS), WIDTH),
        "distilbert.embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
    }
    for name, shape in (*maps.items(), *((name, (WIDTH,)) for name in norms)):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]
    made = np.random.default_rng(1)
    return {name: made.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
