"""Reads a checkpoint into memory. Imports torch: only `local` does so, when it needs a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from cartrita.errors import ConfigurationInvalid
from cartrita.providers.huggingface.folder import weights_mb
from cartrita.providers.ports_huggingface import TextKind

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

LONGEST_INPUT = 1024
"""Tokens of a text that are read by models which name no limit of their own."""

_CLASSES = {
    TextKind.GENERATION: transformers.AutoModelForCausalLM,
    TextKind.SUMMARIZATION: transformers.AutoModelForSeq2SeqLM,
    TextKind.TRANSLATION: transformers.AutoModelForSeq2SeqLM,
    TextKind.CLASSIFICATION: transformers.AutoModelForSequenceClassification,
    TextKind.ZERO_SHOT: transformers.AutoModelForSequenceClassification,
    TextKind.ANSWERING: transformers.AutoModelForQuestionAnswering,
    TextKind.TOKENS: transformers.AutoModelForTokenClassification,
    TextKind.FILL_MASK: transformers.AutoModelForMaskedLM,
    TextKind.SIMILARITY: transformers.AutoModel,
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model in memory.

    Attributes:
        model: A transformers model in evaluation mode.
        tokenizer: Its tokenizer.
        longest: Tokens it can read at once.
        folder: Where it came from.
    """

    name: str
    model: Any
    tokenizer: Any
    longest: int
    folder: Path

    @property
    def mb(self) -> float:
        """What its weights take."""
        held = sum(p.numel() * p.element_size() for p in self.model.parameters())
        return float(held / (1 << 20))


def load(kind: TextKind, name: str, folder: Path) -> Checkpoint:
    """Read a model for a kind of task: from safetensors only, and without code of its own.

    Raises:
        ConfigurationInvalid: It cannot be read, or was not trained for this.
    """
    weights_mb(folder)
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
        model, told = _CLASSES[kind].from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **local
        )
    except ImportError as error:  # such as sentencepiece, for some tokenizers
        raise ConfigurationInvalid(f"{name!r} needs another package: {_line(error)}") from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ConfigurationInvalid(f"{name!r} cannot do {kind}: {_line(error)}") from error
    missing = [key for key in told["missing_keys"] if "pooler" not in key]
    if missing:  # transformers makes them up, and the model would answer at random
        raise ConfigurationInvalid(
            f"{name!r} was not trained for {kind}: it has no weights for {min(missing)!r}."
        )
    return Checkpoint(name, model.eval(), tokenizer, _longest(model.config, tokenizer), folder)


def _longest(config: Any, tokenizer: Any) -> int:
    """Return how many tokens a model can read."""
    known = [getattr(config, key, None) for key in ("max_position_embeddings", "n_positions")]
    limits = [n for n in (*known, tokenizer.model_max_length) if isinstance(n, int) and n > 0]
    longest = min(limits, default=LONGEST_INPUT)
    # RoBERTa and its like count positions from behind the padding's number.
    padding = getattr(config, "pad_token_id", None) or 0
    offset = padding + 1 if config.model_type in _OFFSET else 0
    return min(longest - offset, 32 * LONGEST_INPUT) if longest < 10**9 else LONGEST_INPUT


_OFFSET = ("roberta", "xlm-roberta", "camembert")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
